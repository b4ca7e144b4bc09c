"""Faces from files: records, pictures, datasets and transforms."""

from pyspiga_geo.data.checking import sound_faces
from pyspiga_geo.data.datasets import AnnotatedFaces, SyntheticFaces, split_groups
from pyspiga_geo.data.images import ImageError, find_image, read_image
from pyspiga_geo.data.records import FaceRecord, RecordError, landmarks_for, read_records, write_records

__all__ = [
    "AnnotatedFaces",
    "FaceRecord",
    "ImageError",
    "RecordError",
    "SyntheticFaces",
    "find_image",
    "landmarks_for",
    "read_image",
    "read_records",
    "sound_faces",
    "split_groups",
    "write_records",
]
