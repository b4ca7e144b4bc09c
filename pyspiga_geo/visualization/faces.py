"""Drawings on a face: landmarks by contour, initial shape, head pose and uncertainty.

All functions take an Axes and a :class:`~pyspiga_geo.graph.FaceData`, derive line widths from the size at which
the face is shown, and return the Axes. Positions are in pixels of the picture that the Axes shows.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection

from pyspiga_geo.geometry import ellipse_radius, project
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import Points, Strokes, head_axes, positions
from pyspiga_geo.visualization.colours import POSE_AXES, contour_colour


def draw_landmarks(
    ax: Axes, face: FaceData, layout: Layout, *, color: str | None = None, marker: str = "o", label: str | None = None
) -> Axes:
    """Draw landmarks, joined along the contours of the layout.

    Args:
        ax: where to draw.
        face: with ``pos`` [L, 2]; landmarks that are NaN are left out.
        layout: its contours join the landmarks.
        color: of lines and landmarks, to compare faces; None: white landmarks, each part of the face in its own colour.
        marker: matplotlib's marker of the landmarks. On faces under 80 pixels only landmarks of no contour are marked.
        label: for the legend.

    Returns:
        The Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from pyspiga_geo.layouts import IBUG68
        >>> draw_landmarks(Figure().subplots(), FaceData(pos=100 * torch.rand(68, 2)), IBUG68)
        <Axes: >
    """
    points = positions(face.pos)
    strokes = Strokes.of(ax, points)
    _draw_contours(ax, points, layout, strokes, color)
    single = layout.boundary_matrix[:, -1] > 0  # no line leads to them: they are larger, and on small faces marked too
    style: dict[str, Any] = {"linestyle": "", "marker": marker, "color": color or "white", "zorder": 3}
    width = max(strokes.line, strokes.dot / 4) if color else 0.0
    for chosen, size in ((single, 2 * strokes.least_dot), (~single, strokes.dot)):
        if chosen.any() and size:
            fill = "none" if color else "white"
            size = 1.6 * size if color else size
            effects = strokes.rimmed(width)
            shown = {**style, "label": label, "markerfacecolor": fill, "path_effects": effects}
            ax.plot(*points[chosen].T, markersize=size, mew=width, **shown)
            label = None
    return ax


def draw_initial_shape(ax: Axes, face: FaceData, layout: Layout) -> Axes:
    """Draw x_0, where the cascade starts, as dashed contours; landmarks of no contour as circles.

    Args:
        ax: where to draw.
        face: with ``initial`` [L, 2].
        layout: its contours join the landmarks.

    Returns:
        The Axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from pyspiga_geo.layouts import IBUG68
        >>> draw_initial_shape(Figure().subplots(), FaceData(initial=100 * torch.rand(68, 2)), IBUG68)
        <Axes: >
    """
    points = positions(face.initial)
    strokes = Strokes.of(ax, points)
    single = points[np.flatnonzero(layout.boundary_matrix[:, -1])]
    ax.plot(*single.T, "o", color="white", fillstyle="none", markersize=strokes.least_dot, mew=strokes.line)
    _draw_contours(ax, points, layout, strokes, "white", linestyle=(0, (2, 2)))
    return ax


def draw_pose(ax: Axes, face: FaceData, layout: Layout, *, label: bool = False) -> Axes:
    """Draw the axes of the head from the tip of the nose, half a face long.

    Blue points out of the face, orange to the person's left, green down.

    Args:
        ax: where to draw.
        face: with ``pose`` [6] and ``camera`` [3, 3] in pixels of the picture.
        layout: the tip of the nose is the foremost point of its rigid shape.
        label: explain the axes in the legend.

    Returns:
        The Axes.

    Raises:
        ValueError: if the layout has no rigid shape, or the face no pose or camera.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from pyspiga_geo.geometry import camera_matrix
        >>> from pyspiga_geo.layouts import IBUG68
        >>> face = FaceData(pose=torch.tensor([20.0, 0, 0, 0, 0, 4]), camera=camera_matrix(100))
        >>> draw_pose(Figure().subplots(), face, IBUG68)
        <Axes: >
    """
    if layout.shape3d is None:
        raise ValueError(f"layout {layout.name!r} has no rigid shape, of which the axes of the head are drawn")
    if not ("pose" in face and "camera" in face):
        raise ValueError("face must have pose [6] and camera [3, 3]")
    shape3d = torch.tensor(layout.shape3d)
    pose, camera = face.pose.detach().cpu().to(shape3d), face.camera.detach().cpu().to(shape3d)
    strokes = Strokes.of(ax, project(shape3d, pose, camera).numpy())
    start, *heads = head_axes(face, layout)
    width = 2 * strokes.line
    style: dict[str, Any] = {"linewidth": width, "path_effects": strokes.rimmed(width)}
    for order, (head, (_, colour, meaning)) in enumerate(zip(heads, POSE_AXES, strict=True)):
        line = np.stack([start, head])
        ax.plot(*line.T, color=colour, zorder=2.9 - 0.1 * order, label=meaning if label else None, **style)
    return ax


def draw_uncertainty(ax: Axes, face: FaceData, probability: float = 0.8) -> Axes:
    """Draw around each landmark the ellipse that holds the true one with a given probability; red where it is hidden.

    Args:
        ax: where to draw.
        face: with ``pos`` [L, 2] and ``covariance`` [L, 2, 2]; with ``visible`` [L], the colour goes from white to red.
        probability: of the ellipses (:func:`pyspiga_geo.geometry.ellipse_radius`).

    Returns:
        The Axes.

    Raises:
        ValueError: if the face has no ``covariance``, or the probability is negative, or 1 or more.

    Example:
        >>> from matplotlib.figure import Figure
        >>> face = FaceData(pos=torch.rand(68, 2), covariance=torch.eye(2).repeat(68, 1, 1))
        >>> draw_uncertainty(Figure().subplots(), face)
        <Axes: >
    """
    if "covariance" not in face:
        raise ValueError("face must have covariance [L, 2, 2]: a model without a head for uncertainty gives none")
    strokes = Strokes.of(ax, positions(face.pos))
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
            linewidths=strokes.line,
            zorder=2.5,
        )
    )
    return ax


def _draw_contours(
    ax: Axes, points: Points, layout: Layout, strokes: Strokes, color: str | None, linestyle: Any = "-"
) -> None:
    for name, members in layout.contours.items():
        ax.plot(
            *points[list(members)].T,
            color=color or contour_colour(name),
            linewidth=strokes.line,
            linestyle=linestyle,
            solid_capstyle="round",
            path_effects=strokes.rimmed(),
        )
