"""Sheets of face crops, what was found laid over what is true."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.faces import show_photo

SOFTWARE = "pyspiga-geo"
"""What the metadata of every picture names as the program that made it."""

_TRUTH, _FOUND = "#34c759", "#ff3b6b"


def face_sheet(
    images: Tensor,
    truth: Tensor,
    predicted: Tensor,
    layout: Layout,
    captions: Sequence[str] | None = None,
    columns: int = 4,
) -> Figure:
    """Draw crops in rows: true landmarks green, predicted ones red, joined along the contours.

    Args:
        images: [N, 3, S, S], RGB in 0..1.
        truth: [N, L, 2], crop units (pixel index / S); NaN where not annotated.
        predicted: [N, L, 2], crop units.
        layout: names the contours.
        captions: one a face.
        columns: faces in a row.
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.8 * rows + 0.4), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.set_axis_off()
    size, single = images.shape[-1], np.flatnonzero(layout.boundary_matrix[:, -1])
    for index, (ax, image) in enumerate(zip(axes, images, strict=False)):
        show_photo(ax, image.float().cpu())
        for pos, colour in ((truth[index], _TRUTH), (predicted[index], _FOUND)):
            points = size * pos.float().cpu().numpy()
            for members in layout.contours.values():
                ax.plot(*points[list(members)].T, color=colour, linewidth=0.9, marker=".", markersize=2.5)
            ax.plot(*points[single].T, ".", color=colour, markersize=2.5)
        ax.set_xlim(-0.5, size - 0.5)
        ax.set_ylim(size - 0.5, -0.5)
        if captions is not None:
            ax.set_title(captions[index], fontsize=8)
    figure.suptitle("green: true, red: found", fontsize=9)
    return figure


def save_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    """Write a figure as PNG; the file appears whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": SOFTWARE})
