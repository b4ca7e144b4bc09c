"""Sheets of face crops, with predicted over true landmarks."""

import os
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import show_photo
from pyspiga_geo.visualization.colours import FOUND, TRUTH
from pyspiga_geo.visualization.faces import draw_landmarks

SOFTWARE = "pyspiga-geo"
"""Name of this program in the metadata of every picture."""

_METADATA = {"png": "Software", "pdf": "Creator", "svg": "Creator"}
"""Format, and the field of its metadata that names the program."""


def face_sheet(
    images: Tensor,
    truth: Tensor,
    predicted: Tensor,
    layout: Layout,
    captions: Sequence[str] | None = None,
    columns: int = 4,
) -> Figure:
    """Draw crops in rows: true landmarks as blue circles, predicted ones as orange crosses, joined along the contours.

    Args:
        images: [N, 3, S, S], RGB in 0..1.
        truth: [N, L, 2], normalised crop coordinates (pixel index / S); NaN where not annotated.
        predicted: [N, L, 2], normalised crop coordinates.
        layout: its contours join the landmarks.
        captions: one per face.
        columns: faces per row.

    Returns:
        The figure.

    Example:
        >>> import torch
        >>> from pyspiga_geo.layouts import IBUG68
        >>> pos = torch.rand(2, 68, 2)
        >>> figure = face_sheet(torch.rand(2, 3, 32, 32), pos, pos, IBUG68, captions=["one", "two"])
        >>> [ax.get_title() for ax in figure.axes]
        ['one', 'two', '', '']
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.8 * rows + 0.4), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.set_axis_off()
    size = images.shape[-1]
    figure.suptitle("blue circles: true, orange crosses: found", fontsize=9)
    for index, (ax, image) in enumerate(zip(axes, images, strict=False)):
        show_photo(ax, image.float())
        for pos, colour, marker in ((truth[index], TRUTH, "o"), (predicted[index], FOUND, "x")):
            if pos.isfinite().any():
                draw_landmarks(ax, FaceData(pos=size * pos.float().cpu()), layout, color=colour, marker=marker)
        ax.set_xlim(-0.5, size - 0.5)
        ax.set_ylim(size - 0.5, -0.5)
        if captions is not None:
            ax.set_title(captions[index], fontsize=8)
    return figure


def save_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    """Write a figure in the format given by the file's suffix; the file appears complete or not at all.

    Args:
        path: ends in ``.png``, ``.pdf``, ``.svg`` or another format that matplotlib supports.
        figure: the figure, written at its own resolution.

    Raises:
        ValueError: if the path has no such suffix.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_figure(f"{folder}/empty.pdf", Figure())
        ...     [path.name for path in Path(folder).iterdir()]
        ['empty.pdf']
    """
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(f"path must end in one of {', '.join(known)}, got {os.fspath(path)!r}")
    metadata = {_METADATA[kind]: SOFTWARE} if kind in _METADATA else None
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=metadata)
