"""Attention between the landmarks of a face: as edges over its photo, and as a matrix."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from torch import Tensor

from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import Strokes, positions


def draw_attention(
    ax: Axes,
    face: FaceData,
    *,
    step: int = -1,
    layer: int = -1,
    head: int | None = None,
    listener: int | None = None,
    strongest: int = 150,
    colorbar: bool = False,
) -> Axes:
    """Draw the edges of the landmark graph with the largest attention; stronger edges are brighter and wider.

    Args:
        ax: where to draw.
        face: as ``FaceAligner()(photo, attention=True)`` returns it, with ``pos`` [L, 2], ``edge_index`` [2, E] and
            ``attention`` [L, K, layers, heads, L]. Without ``attention``, ``edge_weight`` [E] is drawn.
        step: 0 for the first step of the cascade, -1 for the last.
        layer: of that step, from 0; -1 for the last.
        head: from 0; None for the mean over heads.
        listener: only the edges into this landmark, which is circled; None: the edges of all.
        strongest: number of edges.
        colorbar: add a colour bar beside the Axes.

    Returns:
        The Axes.

    Raises:
        ValueError: if the face has no attention, or no such step, layer, head or landmark.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from pyspiga_geo.graph import complete_edges
        >>> face = FaceData(pos=torch.rand(5, 2), edge_index=complete_edges(5), edge_weight=torch.rand(20))
        >>> draw_attention(Figure().subplots(), face, listener=2)
        <Axes: >
    """
    edges, weight = _edges(face, step, layer, head)
    if listener is not None:
        _check("listener", listener, len(face.pos))
        into = edges[1] == listener % len(face.pos)
        edges, weight = edges[:, into], weight[into]
    weight, chosen = weight.topk(min(strongest, len(weight)))
    weight, chosen = weight.flip(0), chosen.flip(0)  # the strongest on top
    points = positions(face.pos)
    strokes = Strokes.of(ax, points)
    relative = (weight / weight.max().clamp(min=1e-12)).numpy() if len(weight) else np.zeros(0)
    lines = LineCollection(
        list(points[edges[:, chosen].T.numpy()]), cmap="plasma", linewidths=strokes.line * (1 + 1.5 * relative)
    )
    lines.set_array(weight.numpy())
    lines.set_clim(0, None)
    ax.add_collection(lines, autolim=False)
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "zorder": 3, "path_effects": strokes.rimmed(0)}
    ax.plot(*points.T, color="white", markersize=strokes.least_dot, mew=0, **style)
    if listener is not None:
        width = 1.5 * strokes.line
        ring = {**style, "markersize": 3 * strokes.least_dot, "mew": width, "path_effects": strokes.rimmed(width)}
        ax.plot(*points[listener, :, None], color="#56b4e9", mfc="none", **ring)
    if colorbar:
        ax.figure.colorbar(lines, ax=ax, shrink=0.7, label="attention")
    return ax


def draw_attention_matrix(
    ax: Axes,
    face: FaceData,
    layout: Layout | None = None,
    *,
    step: int = -1,
    layer: int = -1,
    head: int | None = None,
    colorbar: bool = False,
) -> Axes:
    """Show attention as a matrix: row i holds the weights of the landmarks j that landmark i attends to.

    The colour scale is that of the square root, so that small weights are visible.

    Args:
        ax: where to draw.
        face: see :func:`draw_attention`.
        layout: labels the parts of the face along the axes; without it there are numbers.
        step: 0 for the first step of the cascade, -1 for the last.
        layer: of that step, from 0; -1 for the last.
        head: from 0; None for the mean over heads.
        colorbar: add a colour bar beside the Axes.

    Returns:
        The Axes.

    Raises:
        ValueError: as in :func:`draw_attention`.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> face = FaceData(pos=torch.rand(5, 2), attention=torch.rand(5, 3, 4, 2, 5))
        >>> draw_attention_matrix(Figure().subplots(), face, step=0, layer=3, head=1)
        <Axes: xlabel='speaker j', ylabel='listener i'>
    """
    if "attention" in face:
        matrix = _matrix(face, step, layer, head)
    else:
        edges, weight = _edges(face, step, layer, head)
        matrix = weight.new_zeros(len(face.pos), len(face.pos))
        matrix[edges[1], edges[0]] = weight
    image = ax.imshow(matrix.numpy(), norm=PowerNorm(0.5, vmin=0), interpolation="nearest")
    if layout is not None:
        first: dict[str, int] = {}
        for name, members in layout.contours.items():
            part = next((part for part in ("jaw", "eyebrow", "nose", "eye", "mouth") if part in name), name)
            first[part] = min(first.get(part, members[0]), *members)
        ax.set_xticks(list(first.values()), list(first), rotation=45)
        ax.set_yticks(list(first.values()), list(first))
    ax.set(xlabel="speaker j", ylabel="listener i")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, shrink=0.7, label="attention")
    return ax


def _edges(face: FaceData, step: int, layer: int, head: int | None) -> tuple[Tensor, Tensor]:
    """Edges [2, E] and their weights [E]."""
    if "attention" in face and face.attention.size(-1) == len(face.pos):
        edges = face.edge_index.cpu()
        return edges, _matrix(face, step, layer, head)[edges[1], edges[0]]
    if "edge_weight" not in face:
        raise ValueError(
            "face has no attention: ask for it with aligner(photo, attention=True) or "
            "model(images, return_attention=True)"
        )
    if (step, layer, head) != (-1, -1, None):
        raise ValueError("face has edge_weight alone, which is that of the last step and layer, mean over heads")
    return face.edge_index.cpu(), face.edge_weight.detach().cpu()


def _matrix(face: FaceData, step: int, layer: int, head: int | None) -> Tensor:
    """Attention [L, L] of one layer, row i over the landmarks j that i attends to."""
    alpha = face.attention.detach().cpu()  # [L, K, layers, heads, L]
    for size, (name, value) in zip(alpha.shape[1:], (("step", step), ("layer", layer), ("head", head)), strict=False):
        if value is not None:
            _check(name, value, size)
    alpha = alpha[:, step, layer]
    return alpha.mean(dim=1) if head is None else alpha[:, head]


def _check(name: str, value: int, size: int) -> None:
    if not -size <= value < size:
        raise ValueError(f"{name} must be in 0..{size - 1}, or negative to count from the last, got {value}")
