"""Faces in films: followed, smoothed, drawn, and written down."""

from pyspiga_geo.tracking.smoothing import OneEuroFilter
from pyspiga_geo.tracking.tracker import FaceTracker

__all__ = ["FaceTracker", "OneEuroFilter"]
