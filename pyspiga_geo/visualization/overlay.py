"""Faces drawn into pictures at their own resolution, fast."""

import math
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout

PALETTE = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
"""Okabe and Ito's colours, which colour-blind people can tell apart, in the order in which they are given."""

_FINE = 3
"""Pixels of a drawing along a pixel of the picture, so that edges are smooth; 2 for large faces, which is faster."""

_LARGE = 300
"""Pixels from which a face is large."""

_LEAST = 1.5
"""Width in pixels of the thinnest line."""

_LINE, _DOT, _RIM = 1 / 160, 1 / 130, 1 / 400
"""Width of a line, radius of a landmark and width of the dark rim around both, in face sizes."""

_DOTTED = 80
"""Pixels from which a face has its landmarks marked; on a smaller one they would hide it."""


class _Strokes(NamedTuple):
    """Line width, radius of a landmark and width of the rim in pixels, for a face of some size."""

    line: float
    dot: float
    rim: float
    fine: int

    @classmethod
    def of(cls, size: float) -> Self:
        dot = max(size * _DOT, 0.8 * _LEAST) if size >= _DOTTED else 0.0
        return cls(max(size * _LINE, _LEAST), dot, max(size * _RIM, 0.5), 2 if size >= _LARGE else _FINE)


def draw_overlay(image: Image.Image, faces: Sequence[FaceData], layout: Layout, *, numbers: bool = True) -> Image.Image:
    """Draw landmarks and the contours that join them, each face in a colour of its own.

    Lines grow with the face, and are never thinner than 1.5 pixels.

    Args:
        image: an RGB picture, which stays as it is.
        faces: with ``pos`` [L, 2] in its pixels. One with an ``identity``, as a
            :class:`~pyspiga_geo.tracking.FaceTracker` gives it, keeps colour and number from picture to picture; others
            get theirs by their order.
        layout: names the contours.
        numbers: write each face's number above it.

    Returns:
        A new picture of the same size.

    Example:
        >>> import torch
        >>> from pyspiga_geo.layouts import IBUG68
        >>> face = FaceData(pos=torch.tensor(60 * IBUG68.shape3d[:, 1:] + 100))
        >>> draw_overlay(Image.new("RGB", (200, 200)), [face], IBUG68).size
        (200, 200)
    """
    drawn = image.convert("RGB")  # a copy
    for order, face in zip(count(1), faces, strict=False):
        points = face.pos.double().numpy()
        if not np.isfinite(points).all():
            continue
        number = int(face.identity) if "identity" in face else order
        size = float(max(np.ptp(points, axis=0).max(), 1))
        colour = PALETTE[(number - 1) % len(PALETTE)]
        _draw_face(drawn, points, layout, colour, _Strokes.of(size))
        if numbers:
            _draw_number(drawn, points, number, colour, size)
    return drawn


def _draw_face(image: Image.Image, points: NDArray[np.float64], layout: Layout, colour: str, strokes: _Strokes) -> None:
    """Lay a dark rim, then lines, then landmarks over a picture, each through a mask."""
    margin = math.ceil(strokes.line + strokes.dot + strokes.rim) + 1
    low = np.floor(points.min(axis=0)).astype(int) - margin
    high = np.ceil(points.max(axis=0)).astype(int) + margin
    low, high = np.maximum(low, 0), np.minimum(high, np.array(image.size) - 1)
    if (high < low).any():
        return  # outside of the picture
    size = tuple((high - low + 1).tolist())
    # Pixel indices are those of the centres: a pixel's corner is half a pixel before.
    places = strokes.fine * (points - low + 0.5)
    lines = [[tuple(place) for place in places[list(members)].tolist()] for members in layout.contours.values()]
    single = places[layout.boundary_matrix[:, -1] > 0]
    layers = (
        ("black", 0.5, strokes.line + 2 * strokes.rim, places, strokes.dot + strokes.rim if strokes.dot else 0),
        (colour, 1, strokes.line, single, strokes.line),
        ("white", 1, 0, places, strokes.dot),
    )
    for paint, opacity, width, dots, radius in layers:
        mask = Image.new("L", (size[0] * strokes.fine, size[1] * strokes.fine))
        draw = ImageDraw.Draw(mask)
        for line in lines if width else ():
            draw.line(line, round(255 * opacity), math.ceil(strokes.fine * width), joint="curve")
        for x, y in dots.tolist() if radius else ():
            draw.circle((x, y), strokes.fine * radius, round(255 * opacity))
        image.paste(Image.new("RGB", size, paint), tuple(low.tolist()), mask.reduce(strokes.fine))


def _draw_number(image: Image.Image, points: NDArray[np.float64], number: int, colour: str, size: float) -> None:
    """Write a number on a plate in the face's colour, above the face, or where that leaves the picture within it."""
    height = max(size / 9, 13)
    font = ImageFont.load_default(height)
    left, top, right, bottom = font.getbbox(text := str(number))
    pad = height / 4
    plate = np.array([right - left + 2 * pad, bottom - top + 2 * pad])
    low = points.min(axis=0)
    corner = np.array([low[0], low[1] - plate[1] - size / 12])
    corner = np.clip(corner, 0, np.maximum(np.array(image.size) - plate - 1, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([*corner.tolist(), *(corner + plate).tolist()], pad, fill=colour)
    x, y = corner.tolist()
    draw.text((x + pad - left, y + pad - top), text, fill="black", font=font)
