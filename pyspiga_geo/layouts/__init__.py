"""Landmark sets: :class:`Layout`, the built-in ``ibug68`` and ``wflw98``, and a registry for your own.

Ids, mirror order, boundaries and rigid mean faces of the built-in layouts are those of the authors' repository
(github.com/andresprados/SPIGA, BSD-3). "Right" and "left" are always the person's own.
"""

from pyspiga_geo.layouts.annotations import AnnotatedFace
from pyspiga_geo.layouts.ibug68 import IBUG68
from pyspiga_geo.layouts.layout import (
    EYE_CORNER_IDS,
    ROBUST_IDS,
    Layout,
    default_normaliser,
    from_mean_face_axes,
)
from pyspiga_geo.layouts.registry import BUILT_IN, available_layouts, get_layout, read_layout, register_layout
from pyspiga_geo.layouts.wflw98 import WFLW98

__all__ = [
    "BUILT_IN",
    "EYE_CORNER_IDS",
    "IBUG68",
    "ROBUST_IDS",
    "WFLW98",
    "AnnotatedFace",
    "Layout",
    "available_layouts",
    "default_normaliser",
    "from_mean_face_axes",
    "get_layout",
    "read_layout",
    "register_layout",
]
