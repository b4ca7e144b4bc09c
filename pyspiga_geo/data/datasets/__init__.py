"""Annotated faces as graphs."""

from pyspiga_geo.data.datasets.annotations import AnnotatedFaces, split_groups

__all__ = ["AnnotatedFaces", "split_groups"]
