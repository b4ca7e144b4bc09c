"""A face as a graph: :class:`FaceData` and the edge lists that connect landmarks."""

from pyspiga_geo.graph.edges import batch_edges, complete_edges, contour_edges
from pyspiga_geo.graph.face_data import FaceData

__all__ = ["FaceData", "batch_edges", "complete_edges", "contour_edges"]
