"""pyspiga_geo: facial landmarks by a cascade of graph attention networks (SPIGA), for PyTorch Geometric."""

from importlib.metadata import version

from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference import FaceAligner
from pyspiga_geo.layouts import Layout, get_layout, register_layout
from pyspiga_geo.models import SPIGA, SPIGAConfig
from pyspiga_geo.nn import SPIGACascade

__version__ = version("pyspiga-geo")

__all__ = [
    "SPIGA",
    "FaceAligner",
    "FaceData",
    "Layout",
    "SPIGACascade",
    "SPIGAConfig",
    "get_layout",
    "register_layout",
]
