"""Faces drawn into pictures at their own resolution, fast."""

import math
from collections.abc import Sequence
from itertools import count, pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import head_axes, stroke_widths
from pyspiga_geo.visualization.colours import POSE_AXES

PALETTE = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
"""Colours of faces, in order: those of Okabe and Ito, which colour-blind people can distinguish."""

_FINE = 3
"""Pixels of a drawing along a pixel of the picture, so that edges are smooth; 2 for large faces, which is faster."""

_LARGE = 300
"""Pixels from which a face is large."""

_SURE, _FADE, _FAINTEST = 0.01, 0.05, 0.25
"""Error in face sizes up to which a landmark is drawn boldly, how much more makes it vanish, and how far it may."""


class _Strokes(NamedTuple):
    """Line width, radius of a landmark and width of the rim in pixels, for a face of some size."""

    line: float
    dot: float
    rim: float
    fine: int

    @classmethod
    def of(cls, size: float) -> Self:
        line, dot, rim = stroke_widths(size)
        return cls(line, dot / 2, rim, 2 if size >= _LARGE else _FINE)


def draw_overlay(
    image: Image.Image, faces: Sequence[FaceData], layout: Layout, *, numbers: bool = True, pose: bool = False
) -> Image.Image:
    """Draw landmarks and the contours that join them, each face in its own colour.

    Line widths grow with the face, from 1.5 pixels. Landmarks of which the model is uncertain are paler.

    Args:
        image: an RGB picture, which is not changed.
        faces: with ``pos`` [L, 2] in its pixels. One with an ``identity``, as a
            :class:`~pyspiga_geo.tracking.FaceTracker` returns it, keeps colour and number from picture to picture;
            others get theirs by their order. ``sigma`` [L] in pixels makes it paler, from 1 % of the face's size on;
            ``pose`` [6] and ``camera`` [3, 3] are needed for the axes.
        layout: its contours join the landmarks.
        numbers: write each face's number above it.
        pose: draw the axes of the head from the tip of the nose: blue out of the face, orange to the person's left,
            green down.

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
        strokes = _Strokes.of(size)
        certainty = np.ones(len(points))  # how boldly each landmark is drawn
        if "sigma" in face:  # paler where it is expected to be off by over 1 % of the face
            certainty = np.clip(1 - (face.sigma.double().numpy() / size - _SURE) / _FADE, _FAINTEST, 1)
        if pose and layout.shape3d is not None and "pose" in face and "camera" in face:
            _draw_axes(drawn, face, layout, strokes)
        _draw_face(drawn, points, layout, colour, strokes, certainty)
        if numbers:
            _draw_number(drawn, points, number, colour, size)
    return drawn


def _draw_face(
    image: Image.Image,
    points: NDArray[np.float64],
    layout: Layout,
    colour: str,
    strokes: _Strokes,
    certainty: NDArray[np.float64],
) -> None:
    """Lay a dark rim, then lines, then landmarks over a picture, each through a mask."""
    lines = [members for members in layout.contours.values() if len(members) > 1]
    single = layout.boundary_matrix[:, -1] > 0  # no line leads to them: a disc in the face's colour around each
    disc = np.where(single, max(2 * strokes.dot, strokes.line), 0.0)
    dot = np.full(len(points), strokes.dot)
    widest = np.maximum(disc, dot)
    layers = (
        ("black", 0.5, strokes.line + 2 * strokes.rim, np.where(widest > 0, widest + strokes.rim, 0)),
        (colour, 1, strokes.line, disc),
        ("white", 1, 0, dot),
    )
    for paint, opacity, width, radii in layers:
        with _Layer(image, points, paint, strokes) as layer:
            for members in lines if width else ():
                for one, other in pairwise(members):
                    layer.line(points[[one, other]], width, opacity * certainty[[one, other]].mean())
            for index in np.flatnonzero(radii):
                layer.dot(points[index], radii[index], opacity * certainty[index])


def _draw_axes(image: Image.Image, face: FaceData, layout: Layout, strokes: _Strokes) -> None:
    """The axes of the head, half a face long, over a dark rim."""
    start, *heads = head_axes(face, layout)
    for head, (_, colour, _) in zip(heads, POSE_AXES, strict=True):
        ends_of_axis = np.stack([start, head])
        for paint, opacity, width in (
            ("black", 0.5, 2 * strokes.line + 2 * strokes.rim),
            (colour, 1, 2 * strokes.line),
        ):
            with _Layer(image, ends_of_axis, paint, strokes) as layer:
                layer.line(ends_of_axis, width, opacity)


class _Layer:
    """Strokes of one colour near some points [N, 2] of a picture, laid over it when the block ends."""

    def __init__(self, image: Image.Image, points: NDArray[np.float64], paint: str, strokes: _Strokes) -> None:
        margin = math.ceil(2 * strokes.line + 2 * strokes.dot + strokes.rim) + 1
        low = np.floor(points.min(axis=0)).astype(int) - margin
        high = np.ceil(points.max(axis=0)).astype(int) + margin
        self.low, high = np.maximum(low, 0), np.minimum(high, np.array(image.size) - 1)
        self.size = tuple(np.maximum(high - self.low + 1, 1).tolist())  # a pixel of what is outside of the picture
        self.image, self.paint, self.fine = image, paint, strokes.fine
        self.mask = Image.new("L", (self.size[0] * self.fine, self.size[1] * self.fine))
        self.draw = ImageDraw.Draw(self.mask)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            colour = Image.new("RGB", self.size, self.paint)
            self.image.paste(colour, tuple(self.low.tolist()), self.mask.reduce(self.fine))

    def line(self, ends: NDArray[np.float64], width: float, opacity: float) -> None:
        """A line between two points, with round ends."""
        places = self._places(ends)
        self.draw.line([tuple(place) for place in places], round(255 * opacity), math.ceil(self.fine * width))
        for point in ends:
            self.dot(point, width / 2, opacity)

    def dot(self, point: NDArray[np.float64], radius: float, opacity: float) -> None:
        """A disc around a point."""
        (place,) = self._places(point[None])
        self.draw.circle(tuple(place), self.fine * radius, round(255 * opacity))

    def _places(self, points: NDArray[np.float64]) -> list[list[float]]:
        # Pixel indices are those of the centres: a pixel's corner is half a pixel before.
        places: list[list[float]] = (self.fine * (points - self.low + 0.5)).tolist()
        return places


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
