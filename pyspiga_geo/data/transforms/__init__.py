"""Transforms of :class:`~pyspiga_geo.graph.FaceData`: landmarks always move with the picture."""

from pyspiga_geo.data.transforms.crop import RandomAffine, RandomFlip, Resample, SquareCrop

__all__ = ["RandomAffine", "RandomFlip", "Resample", "SquareCrop"]
