"""The errors of a method over the face."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pyspiga_geo.data.records import FloatArray


def mean_face(truth: npt.ArrayLike) -> FloatArray:
    """Mean shape of faces, each shifted and scaled so that its landmarks' box is about (0, 0) with a longer side of
    one.

    Args:
        truth: [F, L, 2]; NaN where not annotated.

    Returns:
        float64 [L, 2]; NaN for a landmark that no face has.

    Example:
        >>> mean_face([[[0, 0], [2, 2]], [[10, 10], [50, 50]]]).tolist()
        [[-0.5, -0.5], [0.5, 0.5]]
    """
    points = np.asarray(truth, dtype=np.float64)
    low, high = (extreme.reduce(points, axis=1, keepdims=True) for extreme in (np.fmin, np.fmax))
    side = (high - low).max(axis=2, keepdims=True)
    shapes = (points - (low + high) / 2) / np.where(side > 0, side, np.nan)
    known = ~np.isnan(shapes)
    count = known.sum(axis=0)
    mean: FloatArray = np.where(known, shapes, 0).sum(axis=0) / np.where(count, count, np.nan)
    return mean


def error_map(positions: npt.ArrayLike, errors: Mapping[str, npt.ArrayLike], label: str) -> Figure:
    """Draw the error of each landmark as colour and number on a face, one panel per method on one scale.

    Args:
        positions: [L, 2], y down, such as :func:`mean_face` returns; NaN is not drawn.
        errors: title of the panel -> error of each landmark [L].
        label: of the colour bar.

    Returns:
        The figure.

    Example:
        >>> figure = error_map([[0.0, 0.0], [1.0, 0.5]], {"ours": [1.5, 3.0]}, label="error, %")
        >>> figure.axes[0].get_title()
        'ours'
    """
    points = np.asarray(positions, dtype=np.float64)
    values = {name: np.asarray(error, dtype=np.float64) for name, error in errors.items()}
    low, high = (float(bound(list(values.values()))) for bound in (np.nanmin, np.nanmax))
    columns = min(len(values), 2)
    rows = -(-len(values) // columns)
    figure = Figure(figsize=(6.6 * columns + 1.2, 6.8 * rows), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.set_axis_off()
    for ax, (name, error) in zip(axes, values.items(), strict=False):
        drawn = ~np.isnan(points).any(axis=1) & ~np.isnan(error)
        dots = ax.scatter(*points[drawn].T, c=error[drawn], s=230, cmap="viridis", vmin=low, vmax=high)
        for point, value in zip(points[drawn], error[drawn], strict=True):
            dark = value > low + 0.7 * (high - low)  # on the bright end of the colours
            colour = "black" if dark else "white"
            ax.annotate(f"{value:.1f}", point, fontsize=6.5, ha="center", va="center", color=colour)
        ax.set(title=name, aspect="equal")
        ax.invert_yaxis()
    figure.colorbar(dots, ax=list(axes), shrink=0.7, label=label)
    return figure
