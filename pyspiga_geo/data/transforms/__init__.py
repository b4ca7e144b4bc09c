"""Transforms of :class:`~pyspiga_geo.graph.FaceData`: landmarks always move with the picture."""

from pyspiga_geo.data.transforms.crop import RandomAffine, RandomFlip, Resample, SquareCrop
from pyspiga_geo.data.transforms.occlusion import RandomOcclusion
from pyspiga_geo.data.transforms.photometric import (
    Photometric,
    RandomBlur,
    RandomColorJitter,
    RandomLighting,
)
from pyspiga_geo.data.transforms.presets import reference_augmentation

__all__ = [
    "SquareCrop",
    "RandomFlip",
    "RandomAffine",
    "Resample",
    "RandomOcclusion",
    "Photometric",
    "RandomColorJitter",
    "RandomLighting",
    "RandomBlur",
    "reference_augmentation",
]
