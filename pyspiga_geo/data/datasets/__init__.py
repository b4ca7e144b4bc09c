"""Faces as graphs: annotated ones from files, and drawn ones."""

from pyspiga_geo.data.datasets.annotations import AnnotatedFaces, split_groups
from pyspiga_geo.data.datasets.synthetic import SyntheticFaces

__all__ = ["AnnotatedFaces", "SyntheticFaces", "split_groups"]
