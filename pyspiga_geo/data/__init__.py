"""Faces from files: records, pictures, datasets and transforms."""

from pyspiga_geo.data.checking import sound_faces
from pyspiga_geo.data.datasets import (
    COFW68,
    DATASETS,
    MERLRAV,
    WFLW,
    AnnotatedFaces,
    DatasetError,
    FaceDataset,
    PtsFolder,
    PublishedFaces,
    SyntheticFaces,
    ThreeHundredW,
    ThreeHundredWPrivate,
    read_dataset,
    read_pts,
    split_groups,
)
from pyspiga_geo.data.images import FORMATS, ImageError, find_image, read_image, read_pillow, to_rgb
from pyspiga_geo.data.photos import Photo, as_photo, as_pillow
from pyspiga_geo.data.record_writing import record_line, write_records
from pyspiga_geo.data.records import FaceRecord, RecordError, landmarks_for, read_records

__all__ = [
    "DATASETS",
    "FORMATS",
    "AnnotatedFaces",
    "COFW68",
    "DatasetError",
    "FaceDataset",
    "FaceRecord",
    "ImageError",
    "MERLRAV",
    "Photo",
    "PtsFolder",
    "PublishedFaces",
    "RecordError",
    "SyntheticFaces",
    "ThreeHundredW",
    "ThreeHundredWPrivate",
    "WFLW",
    "as_photo",
    "as_pillow",
    "find_image",
    "landmarks_for",
    "read_dataset",
    "read_image",
    "read_pillow",
    "read_pts",
    "read_records",
    "record_line",
    "sound_faces",
    "split_groups",
    "to_rgb",
    "write_records",
]
