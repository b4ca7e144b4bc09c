"""Faces as graphs: annotated ones from files, those of published datasets, and synthetic ones."""

from pyspiga_geo.data.datasets.annotations import AnnotatedFaces, split_groups
from pyspiga_geo.data.datasets.cofw68 import COFW68
from pyspiga_geo.data.datasets.faces import FaceDataset
from pyspiga_geo.data.datasets.merl_rav import MERLRAV
from pyspiga_geo.data.datasets.pts import PtsFolder, read_pts
from pyspiga_geo.data.datasets.published import DatasetError, PublishedFaces
from pyspiga_geo.data.datasets.registry import DATASETS, read_dataset
from pyspiga_geo.data.datasets.synthetic import SyntheticFaces
from pyspiga_geo.data.datasets.three_hundred_w import ThreeHundredW, ThreeHundredWPrivate
from pyspiga_geo.data.datasets.wflw import WFLW

__all__ = [
    "AnnotatedFaces",
    "FaceDataset",
    "PublishedFaces",
    "WFLW",
    "ThreeHundredW",
    "ThreeHundredWPrivate",
    "COFW68",
    "MERLRAV",
    "PtsFolder",
    "SyntheticFaces",
    "DATASETS",
    "DatasetError",
    "read_dataset",
    "read_pts",
    "split_groups",
]
