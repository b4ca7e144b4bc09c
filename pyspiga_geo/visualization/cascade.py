"""The cascade from x_0 to the landmarks: the path of each landmark, its windows and heatmaps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from torch import Tensor

from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import Points, Strokes, positions
from pyspiga_geo.visualization.colours import step_colour
from pyspiga_geo.visualization.faces import draw_initial_shape


def draw_cascade(ax: Axes, face: FaceData, layout: Layout, *, steps: int | None = None) -> Axes:
    """Draw the path of each landmark from the initial shape x_0, dashed, to x_K, each step in its own colour.

    Args:
        ax: where to draw.
        face: with ``initial`` [L, 2] and ``steps`` [L, K, 2].
        layout: its contours join the landmarks.
        steps: number of steps to draw; None: all.

    Returns:
        The Axes.

    Raises:
        ValueError: for more steps than there are.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from pyspiga_geo.layouts import IBUG68
        >>> face = FaceData(initial=torch.rand(68, 2), steps=torch.rand(68, 3, 2))
        >>> draw_cascade(Figure().subplots(), face, IBUG68)
        <Axes: >
    """
    walk = path_of(face)
    count = len(walk) - 1 if steps is None else steps
    if not 0 <= count < len(walk):
        raise ValueError(f"steps must be in 0..{len(walk) - 1}, got {steps}")
    draw_initial_shape(ax, face, layout)
    strokes = Strokes.of(ax, walk[0])
    for step in range(1, count + 1):
        moves = np.stack([walk[step - 1], walk[step]], axis=1)  # [L, 2, 2]
        name, colour = f"$x_{step - 1}$ to $x_{step}$", step_colour(step)
        style: dict[str, Any] = {"linewidths": 1.2 * strokes.line, "path_effects": strokes.rimmed(1.2 * strokes.line)}
        ax.add_collection(LineCollection(list(moves), colors=colour, label=name, **style), autolim=False)
    style = {"marker": "o", "markersize": strokes.least_dot, "mew": 0, "zorder": 3}
    ax.plot(*walk[count].T, linestyle="", color="white", path_effects=strokes.rimmed(0), **style)
    return ax


def draw_windows(
    ax: Axes,
    face: FaceData,
    landmarks: Sequence[int],
    *,
    step: int | None = None,
    windows: Sequence[float] | None = None,
) -> Axes:
    """Draw the square windows of the cascade around some landmarks.

    The window of a step is centred on where the step before left the landmark; the step moves it by half a window along
    each axis at most.

    Args:
        ax: where to draw.
        face: as a :class:`~pyspiga_geo.inference.FaceAligner` returns it, with ``initial`` [L, 2], ``steps`` [L, K, 2]
            and ``windows`` [K].
        landmarks: rows of the landmarks whose windows are drawn.
        step: 1 for the first; None: all, each in its colour.
        windows: sides of the windows in the units of the positions, for a face without ``windows``; in normalised
            crop coordinates they are ``model.cascade.windows``.

    Returns:
        The Axes.

    Raises:
        ValueError: if the face has no windows, or no such step.

    Example:
        >>> from matplotlib.figure import Figure
        >>> face = FaceData(initial=torch.rand(68, 2), steps=torch.rand(68, 3, 2))
        >>> draw_windows(Figure().subplots(), face, [30, 36], windows=(0.25, 0.125, 0.0625))
        <Axes: >
    """
    if windows is None and "windows" not in face:
        raise ValueError("face has no windows [K]: give windows, the sides of the windows in the units of pos")
    sides = list(face.windows.tolist() if windows is None else windows)
    walk = path_of(face)
    if step is not None and not 1 <= step < len(walk):
        raise ValueError(f"step must be in 1..{len(walk) - 1}, got {step}")
    strokes = Strokes.of(ax, walk[0])
    axes = np.eye(2)  # directions of the crop's rows and columns in the photo: a crop may be turned
    if "crop" in face:
        linear = np.linalg.inv(positions(face.crop)[:2, :2])  # its columns are where the crop's axes point
        axes = (linear / np.linalg.norm(linear, axis=0)).T
    corners = np.array([(-1.0, -1), (1, -1), (1, 1), (-1, 1)]) @ axes / 2
    for number in range(1, len(walk)) if step is None else (step,):
        centres = walk[number - 1][list(landmarks)]
        squares = centres[:, None] + sides[number - 1] * corners
        style: dict[str, Any] = {"linewidths": strokes.line, "path_effects": strokes.rimmed()}
        colour = step_colour(number)
        ax.add_collection(
            PolyCollection(list(squares), facecolors="none", edgecolors=colour, label=f"step {number}", **style),
            autolim=False,
        )
        ax.plot(*centres.T, "o", color=colour, markersize=strokes.least_dot, mew=0, path_effects=strokes.rimmed(0))
    return ax


def draw_heatmaps(ax: Axes, heatmaps: Tensor, landmarks: Sequence[int] | None = None, *, alpha: float = 0.8) -> Axes:
    """Draw heatmaps over the crop that the Axes shows, each landmark's density scaled to its largest value.

    Args:
        ax: where to draw; without a picture only the maps are shown, in map pixels.
        heatmaps: [L, h, w], the logarithm of each landmark's density up to a constant, of one face, as in
            ``model.backbone(images, True).heatmaps[0]``.
        landmarks: rows of the landmarks to show; None: all.
        alpha: opacity where a density is largest.

    Returns:
        The Axes.

    Raises:
        ValueError: if heatmaps have another shape.

    Example:
        >>> from matplotlib.figure import Figure
        >>> draw_heatmaps(Figure().subplots(), torch.randn(68, 16, 16), landmarks=[30, 36])
        <Axes: >
    """
    if heatmaps.dim() != 3:
        raise ValueError(f"heatmaps must be [L, h, w], those of one face, got {list(heatmaps.shape)}")
    chosen = heatmaps.detach().cpu().double()
    chosen = chosen if landmarks is None else chosen[list(landmarks)]
    density = (chosen - chosen.amax(dim=(1, 2), keepdim=True)).exp().amax(dim=0).numpy()
    height, width = density.shape
    left, right, bottom, top = ax.images[0].get_extent() if ax.images else (-0.5, width - 0.5, height - 0.5, -0.5)
    # A position is pixel index / resolution: the centres of the first pixels of crop and map are the same place.
    across, down = (right - left) / width, (bottom - top) / height
    x, y = left + 0.5 - across / 2, top + 0.5 - down / 2
    view = (ax.get_xlim(), ax.get_ylim()) if ax.images else None
    extent = (x, x + width * across, y + height * down, y)
    ax.imshow(density, extent=extent, cmap="inferno", vmin=0, vmax=1, alpha=alpha * density**0.5 if ax.images else None)
    if view is not None:
        ax.set(xlim=view[0], ylim=view[1])
    return ax


def path_of(face: FaceData) -> Points:
    """x_0, x_1, ..., x_K of a face: [K + 1, L, 2]."""
    return positions(torch.cat([face.initial[None], face.steps.transpose(0, 1)]))
