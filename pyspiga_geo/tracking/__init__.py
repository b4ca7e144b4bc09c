"""Faces in films: followed from frame to frame, smoothed, drawn and saved."""

from pyspiga_geo.tracking.film import track_film
from pyspiga_geo.tracking.lines import TrackedFrame, read_tracks
from pyspiga_geo.tracking.reading import Film, Frame, read_film
from pyspiga_geo.tracking.smoother import FaceSmoother
from pyspiga_geo.tracking.smoothing import OneEuroFilter
from pyspiga_geo.tracking.tracker import FaceTracker
from pyspiga_geo.tracking.writing import FilmWriter, write_film

__all__ = [
    "FaceSmoother",
    "FaceTracker",
    "Film",
    "FilmWriter",
    "Frame",
    "OneEuroFilter",
    "TrackedFrame",
    "read_film",
    "read_tracks",
    "track_film",
    "write_film",
]
