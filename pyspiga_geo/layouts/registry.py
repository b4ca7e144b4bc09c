"""Layouts by name."""

import inspect
import json
import os
from pathlib import Path

from pyspiga_geo.layouts.ibug68 import IBUG68
from pyspiga_geo.layouts.layout import Layout
from pyspiga_geo.layouts.wflw98 import WFLW98

BUILT_IN = (IBUG68, WFLW98)
"""The layouts of the package, the smaller first: ``ibug68`` and ``wflw98``."""

_LAYOUTS = {layout.name: layout for layout in BUILT_IN}


def available_layouts() -> list[str]:
    """Names that :func:`get_layout` knows: the built-in ones and those that were registered.

    Returns:
        The names, sorted.

    Example:
        >>> {"ibug68", "wflw98"} <= set(available_layouts())
        True
    """
    return sorted(_LAYOUTS)


def register_layout(layout: Layout) -> Layout:
    """Register your own layout by its name, so that configurations and checkpoints can refer to it.

    Args:
        layout: the layout.

    Returns:
        The layout, or the equal one that was registered before.

    Raises:
        ValueError: if a layout with other parts already has this name.

    Example:
        >>> register_layout(Layout("eyes_of_an_example", ids=(7, 12)))
        Layout(name='eyes_of_an_example', ids=(7, 12), ...)
        >>> len(get_layout("eyes_of_an_example"))
        2
    """
    known = _LAYOUTS.setdefault(layout.name, layout)
    if known != layout:
        raise ValueError(f"another layout named {layout.name!r} exists already")
    return known


def read_layout(path: str | os.PathLike[str]) -> Layout:
    """Read a layout from a JSON file: one written by :meth:`Layout.save`, or the arguments of :class:`Layout` by name.

    Args:
        path: of the file.

    Returns:
        The layout. It is not registered.

    Raises:
        ValueError: if the file cannot be read or holds no layout; the message names the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     IBUG68.save(Path(folder, "layout.json"))
        ...     read_layout(Path(folder, "layout.json")) == IBUG68
        True
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
    """Look up a layout by name.

    Args:
        layout: a registered name; the path of a ``.json`` file (:func:`read_layout`); or a :class:`Layout`, which is
            returned as it is.

    Returns:
        The layout.

    Raises:
        ValueError: if the name is unknown (the message lists the known ones), or the file holds no layout.

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
