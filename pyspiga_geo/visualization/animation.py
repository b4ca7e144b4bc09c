"""An animated picture of a cascade at work."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import Photo, as_pillow
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import Points, cut_out
from pyspiga_geo.visualization.cascade import path_of
from pyspiga_geo.visualization.overlay import draw_overlay

_REST, _FRAME = 800, 60
"""Milliseconds for which each x_t, and each frame between two of them, is shown."""


def animate_cascade(
    path: str | os.PathLike[str],
    image: Photo,
    face: FaceData,
    layout: Layout,
    *,
    size: int = 480,
    margin: float = 0.3,
    frames: int = 12,
) -> None:
    """Write an endless GIF of the landmarks moving from x_0 to x_K.

    Args:
        path: the file, which appears complete or not at all.
        image: the photo, see :data:`~pyspiga_geo.data.Photo`.
        face: with ``initial`` [L, 2] and ``steps`` [L, K, 2] in pixels of the photo.
        layout: its contours join the landmarks.
        size: side of the picture in pixels.
        margin: space around the face, as a fraction of its longer side.
        frames: from one step to the next.

    Raises:
        ValueError: if the path does not end in ``.gif``.

    Example:
        >>> import tempfile
        >>> from pyspiga_geo.layouts import IBUG68
        >>> face = FaceData(initial=100 * torch.rand(68, 2), steps=100 * torch.rand(68, 3, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     animate_cascade(f"{folder}/a.gif", torch.zeros(3, 100, 100), face, IBUG68, size=64, frames=2)
        ...     Image.open(f"{folder}/a.gif").n_frames
        7
    """
    if os.path.splitext(path)[1].lower() != ".gif":
        raise ValueError(f"path must end in .gif, got {os.fspath(path)!r}")
    walk = path_of(face)
    photo, zoom, shift = cut_out(as_pillow(image), walk, size, margin)
    pictures, durations = [], []
    for points, step, duration in _frames(zoom * walk + shift, frames):
        shown = draw_overlay(photo, [FaceData(pos=torch.from_numpy(points))], layout, numbers=False)
        height = max(size / 18, 11)
        pen = ImageDraw.Draw(shown)
        text = "initial shape" if step == 0 else f"step {step}"
        style: dict[str, Any] = {"font": ImageFont.load_default(height), "stroke_width": 2, "stroke_fill": "black"}
        pen.text((height / 2, height / 3), text, fill="white", **style)
        pictures.append(shown)
        durations.append(duration)
    durations[-1] = 2 * _REST
    palette = pictures[-1].quantize()  # one for all: what does not move takes no room in the file
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    with atomic_path(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)


def _frames(walk: Points, frames: int) -> Iterator[tuple[Points, int, int]]:
    """Landmarks, the step that they belong to and how long they are shown, from x_0 to x_K."""
    yield walk[0], 0, _REST
    for step in range(1, len(walk)):
        for part in np.linspace(0, 1, frames + 1)[1:]:
            eased = part * part * (3 - 2 * part)  # off slowly, arrive slowly
            points = (1 - eased) * walk[step - 1] + eased * walk[step]
            yield points, step, _REST if part == 1 else _FRAME
