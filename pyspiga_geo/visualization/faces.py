"""What is drawn on a face: landmarks by contour, initial shape, head pose, attention. Positions in photo pixels."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from torch import Tensor

from pyspiga_geo.geometry import ellipse_radius, project
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout

_COLOURS = {
    "jaw": "#4cc9f0",
    "eyebrow": "#f9c74f",
    "nose": "#90e05c",
    "eye": "#ffffff",
    "mouth": "#ff6b8b",
}
_OTHER_COLOUR = "#d0a6ff"
_AXES = (  # world direction (see pyspiga_geo.geometry.rotation), colour, what it means
    ((1.0, 0.0, 0.0), "#3a86ff", "out of the face"),
    ((0.0, -1.0, 0.0), "#ff3b30", "to the person's left"),
    ((0.0, 0.0, 1.0), "#34c759", "down"),
)


def _contour_colour(name: str) -> str:
    return next((colour for part, colour in _COLOURS.items() if part in name), _OTHER_COLOUR)


def show_photo(ax: Axes, image: Tensor, dim: float = 1.0) -> None:
    """Show a photo [3, H, W], RGB in 0..1, its brightness multiplied by ``dim``."""
    ax.imshow((dim * image).clamp(0, 1).permute(1, 2, 0).numpy())
    ax.set_axis_off()


def zoom_to_face(ax: Axes, face: FaceData, image: Tensor, margin: float = 0.3) -> None:
    """Show only the face, with a margin in parts of its larger side, within the photo [3, H, W]."""
    low, high = face.pos.amin(dim=0), face.pos.amax(dim=0)
    centre, half = (low + high) / 2, (0.5 + margin) * (high - low).max()
    height, width = image.shape[1:]
    (left, top), (right, bottom) = (centre - half).tolist(), (centre + half).tolist()
    ax.set_xlim(max(left, -0.5), min(right, width - 0.5))
    ax.set_ylim(min(bottom, height - 0.5), max(top, -0.5))


def draw_landmarks(ax: Axes, pos: Tensor, layout: Layout, size: float) -> None:
    """Draw landmarks [L, 2] joined along the contours of the layout, for a face ``size`` pixels large."""
    points = pos.numpy()
    width = _line_width(ax, size)
    for name, members in layout.contours.items():
        line = points[list(members)]
        ax.plot(*line.T, color="black", linewidth=2.2 * width, alpha=0.35, solid_capstyle="round")
        ax.plot(*line.T, color=_contour_colour(name), linewidth=width, solid_capstyle="round")
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=(2.4 * width) ** 2,
        color="white",
        edgecolors="black",
        linewidths=0.3 * width,
        zorder=3,
    )


def draw_uncertainty(ax: Axes, face: FaceData, probability: float = 0.8) -> Axes:
    """Draw around each landmark the ellipse that holds the true one with a probability; red where it is hidden.

    Args:
        ax: where to draw.
        face: with ``pos`` [L, 2] and ``covariance`` [L, 2, 2]; with ``visible`` [L], the colour goes from white to red.
        probability: of the ellipses (:func:`pyspiga_geo.geometry.ellipse_radius`).

    Raises:
        ValueError: for a face without ``covariance``, and a probability that is not within 0..1, 1 left out.

    Example:
        >>> from matplotlib.figure import Figure
        >>> face = FaceData(pos=torch.rand(68, 2), covariance=torch.eye(2).repeat(68, 1, 1))
        >>> draw_uncertainty(Figure().subplots(), face)
        <Axes: >
    """
    if "covariance" not in face:
        raise ValueError("face must have covariance [L, 2, 2]: a model without a head for uncertainty gives none")
    variance, axes = np.linalg.eigh(face.covariance.double().numpy())  # the longer axis last
    short, long = 2 * ellipse_radius(probability) * np.sqrt(variance).T
    angle = np.degrees(np.arctan2(axes[:, 1, 1], axes[:, 0, 1]))
    visible = face.visible.numpy() if "visible" in face else np.ones(len(angle))
    colours = np.stack([np.ones_like(visible), visible, visible, np.ones_like(visible)], axis=1).clip(0, 1)
    ax.add_collection(
        EllipseCollection(
            long,
            short,
            angle,
            units="xy",
            offsets=face.pos.numpy(),
            offset_transform=ax.transData,
            facecolors=colours * [1, 1, 1, 0.25],
            edgecolors=colours,
            linewidths=0.8,
            zorder=2.5,
        )
    )
    return ax


def draw_initial_shape(ax: Axes, initial: Tensor, layout: Layout, size: float) -> None:
    """Draw the projected rigid face x_0 [L, 2] as dashed contours; landmarks of none as circles."""
    width = 0.8 * _line_width(ax, size)
    points = initial.numpy()
    single = points[np.flatnonzero(layout.boundary_matrix[:, -1])]
    ax.plot(*single.T, "o", color="white", fillstyle="none", markersize=2.4 * width, alpha=0.9)
    for members in layout.contours.values():
        ax.plot(
            *points[list(members)].T,
            color="white",
            linewidth=width,
            linestyle=(0, (2, 2)),
            alpha=0.9,
        )


def draw_pose(ax: Axes, face: FaceData, shape3d: Tensor, size: float, label: bool = False) -> None:
    """Draw the axes of the head from the tip of the nose, half a face long.

    Args:
        ax: where to draw.
        face: with ``pose`` [6] and ``camera`` [3, 3] in photo pixels.
        shape3d: rigid shape [L, 3]; the axes start at its foremost point.
        size: side of the face in photo pixels.
        label: say what the axes mean in the legend.
    """
    length = (shape3d.amax(dim=0) - shape3d.amin(dim=0)).max() / 2
    tip = shape3d[shape3d[:, 0].argmax()]
    ends = torch.stack([tip, *(tip + length * tip.new_tensor(direction) for direction, _, _ in _AXES)])
    start, *heads = project(ends, face.pose.to(tip), face.camera.to(tip)).numpy()
    width = 2 * _line_width(ax, size)
    for head, (_, colour, meaning) in zip(heads, _AXES, strict=True):
        ax.plot(*np.stack([start, head]).T, color="black", linewidth=1.7 * width, alpha=0.35, zorder=4)
        name = meaning if label else None
        ax.plot(*np.stack([start, head]).T, color=colour, linewidth=width, zorder=5, label=name)


def draw_attention(ax: Axes, face: FaceData, size: float, strongest: int = 150) -> LineCollection:
    """Draw the edges of the landmark graph with the largest weights, the stronger the brighter and wider.

    Args:
        ax: where to draw.
        face: with ``pos`` [L, 2], ``edge_index`` [2, E] and ``edge_weight`` [E].
        size: side of the face in photo pixels.
        strongest: number of edges.
    """
    weight, chosen = face.edge_weight.topk(min(strongest, len(face.edge_weight)))
    weight, chosen = weight.flip(0), chosen.flip(0)  # the strongest on top
    segments = face.pos[face.edge_index[:, chosen].T].numpy()
    width = _line_width(ax, size)
    lines = LineCollection(
        list(segments),
        cmap="plasma",
        linewidths=(width * (0.5 + 2 * weight / weight.max())).tolist(),
        alpha=0.85,
    )
    lines.set_array(weight.numpy())
    ax.add_collection(lines)
    ax.scatter(
        face.pos[:, 0].numpy(),
        face.pos[:, 1].numpy(),
        s=(2 * width) ** 2,
        color="white",
        edgecolors="black",
        linewidths=0.3,
        zorder=3,
    )
    return lines


def _line_width(ax: Axes, size: float) -> float:
    """Line width in points that suits a face of this many photo pixels as large as it is shown."""
    left, right = ax.get_xlim()
    shown = size / max(abs(right - left), 1) * ax.get_window_extent().width * 72 / ax.figure.dpi
    return float(np.clip(shown / 220, 0.4, 2.5))
