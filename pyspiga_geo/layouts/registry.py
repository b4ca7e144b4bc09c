"""Layouts by name."""

import inspect
import json
import os
from pathlib import Path

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


def read_layout(path: str | os.PathLike[str]) -> Layout:
    """Read a layout from a JSON file that :meth:`Layout.save` wrote, or with the arguments of :class:`Layout` by name.

    Raises:
        ValueError: when the file cannot be read or holds no layout; the message names it.
    """
    try:
        parts = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    known = list(inspect.signature(Layout).parameters)
    if not isinstance(parts, dict) or not {"name", "ids"} <= parts.keys() <= set(known):
        raise ValueError(f"{path}: must be an object with name and ids, and of {', '.join(known[2:])} what there is")
    try:
        return Layout(**parts)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def get_layout(layout: str | Layout) -> Layout:
    """Return the layout of this name, or of the file of a name in ``.json``; a :class:`Layout` passes through.

    Raises:
        ValueError: for an unknown name, and the message lists the known ones; and for a file as :func:`read_layout`.

    Example:
        >>> len(get_layout("ibug68")), len(get_layout("wflw98"))
        (68, 98)
    """
    if isinstance(layout, Layout):
        return layout
    if layout.endswith(".json"):
        return read_layout(layout)
    if layout not in _LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(available_layouts())}")
    return _LAYOUTS[layout]
