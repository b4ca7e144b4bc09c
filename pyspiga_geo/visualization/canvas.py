"""Shared by all drawings: photos, the view of a face, the axes of a head, and line widths that suit a face's size."""

from typing import Any, NamedTuple, Self

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyspiga_geo.data import Photo, as_photo
from pyspiga_geo.geometry import project
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.colours import POSE_AXES

Points = NDArray[np.float64]

_LEAST = 1.5
"""Width in pixels of the thinnest line."""

_LINE, _DOT, _RIM = 1 / 160, 1 / 65, 1 / 400
"""Width of a line, diameter of a landmark and width of the dark rim around both, in face sizes."""

_DOTTED = 80
"""Smallest size in pixels of a face whose landmarks are marked; on a smaller one the marks would hide it."""


def show_photo(ax: Axes, image: Photo, dim: float = 1.0) -> Axes:
    """Show a photo, optionally darkened so that drawings stand out.

    Args:
        ax: where to draw.
        image: the photo, see :data:`~pyspiga_geo.data.Photo`.
        dim: factor for its brightness.

    Returns:
        The Axes.

    Raises:
        ValueError: for an array or tensor of another shape, or with values outside the range of its type.
        ImageError: if a file cannot be read.

    Example:
        >>> from matplotlib.figure import Figure
        >>> show_photo(Figure().subplots(), np.zeros((8, 8, 3), dtype=np.uint8))
        <Axes: >
    """
    ax.imshow(dim * as_photo(image).permute(1, 2, 0).numpy())
    ax.set_axis_off()
    ax.set_autoscale_on(False)  # what is drawn beyond the edge does not move it
    return ax


def cut_out(photo: Image.Image, points: Points, size: int, margin: float) -> tuple[Image.Image, float, Points]:
    """Cut the square around landmarks [..., 2] out of a photo; black is what lies beyond its edge.

    Returns:
        The picture of ``size`` pixels; and the zoom z and shift s [2] that take p in the photo to z p + s in it.
    """
    low, high = points.reshape(-1, 2).min(axis=0), points.reshape(-1, 2).max(axis=0)
    side = max(float((high - low).max()), 1e-3) * (1 + 2 * margin)
    corner = (low + high - side) / 2
    zoom = size / side
    # Pillow counts from a pixel's corner, positions from its centre.
    box = (*(corner + 0.5), *(corner + side + 0.5))
    cut = photo.transform((size, size), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)
    return cut, zoom, -zoom * corner - 0.5


def scaled(face: FaceData, zoom: float, shift: NDArray[Any]) -> FaceData:
    """What a :func:`draw_overlay` draws of a face, where p of the photo has become zoom p + shift [2]."""
    moved = FaceData(pos=zoom * face.pos + face.pos.new_tensor(shift))
    if "sigma" in face:
        moved.sigma = zoom * face.sigma
    if "pose" in face and "camera" in face:
        enlarge = face.camera.new_tensor([[zoom, 0, shift[0]], [0, zoom, shift[1]], [0, 0, 1]])
        moved.pose, moved.camera = face.pose, enlarge @ face.camera
    return moved


def head_axes(face: FaceData, layout: Layout) -> Points:
    """The foremost point of the rigid face and the ends of its ``POSE_AXES``, half a face long, in pixels [4, 2]."""
    shape3d = torch.tensor(layout.shape3d)
    length = (shape3d.amax(dim=0) - shape3d.amin(dim=0)).max() / 2
    tip = shape3d[shape3d[:, 0].argmax()]
    ends = torch.stack([tip, *(tip + length * tip.new_tensor(direction) for direction, _, _ in POSE_AXES)])
    return project(ends, face.pose.detach().cpu().to(tip), face.camera.detach().cpu().to(tip)).numpy()


def zoom_to_face(ax: Axes, face: FaceData, margin: float = 0.3) -> Axes:
    """Show only the face, within the photo that the Axes shows.

    Args:
        ax: whose limits to set.
        face: with ``pos`` [L, 2].
        margin: space around the face, as a fraction of its longer side.

    Returns:
        The Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = show_photo(Figure().subplots(), torch.zeros(3, 100, 100))
        >>> print(*zoom_to_face(ax, FaceData(pos=torch.tensor([[40.0, 40], [60, 50]])), margin=0.5).get_xlim())
        30.0 70.0
    """
    points = positions(face.pos)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    centre, half = (low + high) / 2, (0.5 + margin) * face_size(points)
    (left, top), (right, bottom) = (centre - half).tolist(), (centre + half).tolist()
    if ax.images:
        first, last, lowest, highest = ax.images[0].get_extent()
        left, right = max(left, first), min(right, last)
        top, bottom = max(top, highest), min(bottom, lowest)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    return ax


def positions(pos: Tensor) -> Points:
    """Positions [..., 2] as an array."""
    return pos.detach().cpu().double().numpy()


def face_size(points: Points) -> float:
    """Longer side of the box around landmarks [L, 2]; NaN is left out."""
    return float(np.nan_to_num(np.nanmax(points, axis=0) - np.nanmin(points, axis=0)).max()) or 1.0


def stroke_widths(size: float) -> tuple[float, float, float]:
    """Width of a line, diameter of a landmark (0: none) and width of the rim, in pixels as the face's size."""
    dot = max(size * _DOT, 2 * _LEAST) if size >= _DOTTED else 0.0
    return max(size * _LINE, _LEAST), dot, max(size * _RIM, 0.5)


class Strokes(NamedTuple):
    """Line width, diameter of a landmark and width of the rim in points, for a face as large as it is shown."""

    line: float
    dot: float
    rim: float

    @classmethod
    def of(cls, ax: Axes, points: Points) -> Self:
        """For landmarks [L, 2]. An Axes that shows nothing yet is first made to show them, y down."""
        if not ax.has_data() and ax.get_autoscalex_on():
            zoom_to_face(ax, FaceData(pos=torch.from_numpy(points)))
        (left, right), (bottom, top), shown = ax.get_xlim(), ax.get_ylim(), ax.get_window_extent()
        zoom = min(shown.width / max(abs(right - left), 1e-9), shown.height / max(abs(top - bottom), 1e-9))
        return cls(*(72 / ax.figure.dpi * width for width in stroke_widths(zoom * face_size(points))))

    @property
    def least_dot(self) -> float:
        """Diameter of a landmark that is marked on small faces too."""
        return max(self.dot, 2 * self.line)

    def rimmed(self, width: float | None = None) -> list[withStroke]:
        """Effects that draw a dark rim around a line, so that it is visible on any photo."""
        width = self.line if width is None else width
        return [withStroke(linewidth=width + 2 * self.rim, foreground="black", alpha=0.5)]
