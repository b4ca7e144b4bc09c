"""pyspiga_geo: facial landmarks by a cascade of graph attention networks (SPIGA), for PyTorch Geometric."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspiga_geo.graph import FaceData
    from pyspiga_geo.inference import FaceAligner
    from pyspiga_geo.layouts import Layout, get_layout, register_layout
    from pyspiga_geo.models import SPIGA, SPIGAConfig
    from pyspiga_geo.nn import SPIGACascade
    from pyspiga_geo.tracking import FaceTracker

__version__ = version("pyspiga-geo")

__all__ = [
    "SPIGA",
    "FaceAligner",
    "FaceData",
    "FaceTracker",
    "Layout",
    "SPIGACascade",
    "SPIGAConfig",
    "get_layout",
    "register_layout",
]

_HOMES = {
    "FaceAligner": "inference",
    "FaceData": "graph",
    "FaceTracker": "tracking",
    "Layout": "layouts",
    "SPIGA": "models",
    "SPIGACascade": "nn",
    "SPIGAConfig": "models",
    "get_layout": "layouts",
    "register_layout": "layouts",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: PyTorch takes seconds, and ``pyspiga-geo --help`` needs none."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """The module's names, those not imported yet included."""
    return sorted({*globals(), *__all__})
