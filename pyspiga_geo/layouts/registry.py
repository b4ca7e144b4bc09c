"""Layouts by name."""

from pyspiga_geo.layouts.ibug68 import IBUG68
from pyspiga_geo.layouts.layout import Layout
from pyspiga_geo.layouts.wflw98 import WFLW98

BUILT_IN = (IBUG68, WFLW98)
"""The layouts of the package, the smaller first."""

_LAYOUTS = {layout.name: layout for layout in BUILT_IN}


def available_layouts() -> list[str]:
    """Names that :func:`get_layout` knows."""
    return sorted(_LAYOUTS)


def register_layout(layout: Layout) -> Layout:
    """Make a layout of one's own known by its name, so that configurations and checkpoints can name it.

    Returns:
        The layout, or the equal one that was registered before.

    Raises:
        ValueError: when a layout with other parts already has this name.
    """
    known = _LAYOUTS.setdefault(layout.name, layout)
    if known != layout:
        raise ValueError(f"another layout named {layout.name!r} exists already")
    return known


def get_layout(layout: str | Layout) -> Layout:
    """Return the layout of this name; a :class:`Layout` passes through.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.

    Example:
        >>> len(get_layout("ibug68")), len(get_layout("wflw98"))
        (68, 98)
    """
    if isinstance(layout, Layout):
        return layout
    if layout not in _LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(available_layouts())}")
    return _LAYOUTS[layout]
