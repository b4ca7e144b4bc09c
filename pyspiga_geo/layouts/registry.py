"""Layouts by name."""

from pyspiga_geo.layouts.ibug68 import IBUG68
from pyspiga_geo.layouts.layout import Layout
from pyspiga_geo.layouts.wflw98 import WFLW98

_LAYOUTS = {layout.name: layout for layout in (IBUG68, WFLW98)}


def available_layouts() -> list[str]:
    """Names that :func:`get_layout` knows."""
    return sorted(_LAYOUTS)


def register_layout(layout: Layout) -> Layout:
    """Make a layout of one's own known by its name, so that configurations and checkpoints can name it.

    Raises:
        ValueError: when another layout already has this name.
    """
    if _LAYOUTS.get(layout.name, layout) is not layout:
        raise ValueError(f"a layout named {layout.name!r} exists already")
    _LAYOUTS[layout.name] = layout
    return layout


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
