"""Distribution of the errors of faces: cumulative curve, by contour and by yaw."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

_YAW_BIN = 15
"""Degrees of yaw over which errors are averaged."""

_FEWEST = 3
"""Smallest number of faces for a mean over a range of yaw."""


def cumulative_curve(per_face: Mapping[str, npt.ArrayLike], threshold: float, label: str) -> Figure:
    """Draw the share of faces up to an error, one curve per method.

    Args:
        per_face: text of the legend -> mean error of each face [F].
        threshold: upper end of the curve.
        label: of the axis of errors.

    Returns:
        The figure.

    Example:
        >>> figure = cumulative_curve({"ours": [2.0, 3.0, 6.0]}, threshold=8, label="error, %")
        >>> figure.axes[0].get_xlim()[1]
        np.float64(8.0)
    """
    figure = Figure(figsize=(7, 4.8), dpi=100, layout="constrained")
    ax = figure.subplots()
    for name, errors in per_face.items():
        ordered = np.sort(np.asarray(errors, dtype=np.float64))
        share = 100 * np.arange(len(ordered) + 1) / len(ordered)
        # from no face at 0 on, level from the largest error to the threshold
        ax.step([0, *ordered, max(threshold, ordered[-1])], [*share, 100], where="post", label=name)
    ax.set(xlim=(0, threshold), ylim=(0, 101), xlabel=label, ylabel="% of the faces")
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right")
    return figure


def contour_bars(per_contour: Mapping[str, Mapping[str, float]], label: str) -> Figure:
    """Draw the error of each contour, one bar per method.

    Args:
        per_contour: method -> contour -> error; all methods have the same contours.
        label: of the axis of errors.

    Returns:
        The figure.

    Example:
        >>> figure = contour_bars({"ours": {"jaw": 3.0, "nose": 1.5}}, label="error, %")
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['jaw', 'nose']
    """
    names = list(next(iter(per_contour.values())))
    height = 0.8 / len(per_contour)
    figure = Figure(figsize=(7, 1.2 + 0.2 * len(names) * (1 + len(per_contour))), dpi=100, layout="constrained")
    ax = figure.subplots()
    for number, (method, errors) in enumerate(per_contour.items()):
        offset = height * (number - (len(per_contour) - 1) / 2)
        bars = ax.barh(np.arange(len(names)) + offset, [errors[name] for name in names], height, label=method)
        ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.invert_yaxis()  # the first contour on top
    ax.margins(x=0.1, y=0.02)
    ax.set_xlabel(label)
    if len(per_contour) > 1:
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def error_against_yaw(yaw: npt.ArrayLike, per_face: Mapping[str, npt.ArrayLike], label: str) -> Figure:
    """Draw each face's error over the true yaw of the head, and the means over ranges of 15 degrees.

    Args:
        yaw: true yaw of each face [F], degrees; faces where it is NaN are left out.
        per_face: method -> mean error of each face [F].
        label: of the axis of errors.

    Returns:
        The figure.

    Example:
        >>> figure = error_against_yaw([0.0, 2.0, -3.0, 40.0], {"ours": [2.0, 3.0, 2.5, 6.0]}, label="error, %")
        >>> figure.axes[0].get_xlabel()
        'true yaw of the head, degrees'
    """
    angles = np.asarray(yaw, dtype=np.float64)
    bins = np.round(angles / _YAW_BIN)
    centres = [at for at in np.unique(bins[~np.isnan(bins)]) if (bins == at).sum() >= _FEWEST]
    figure = Figure(figsize=(7, 4.8), dpi=100, layout="constrained")
    ax = figure.subplots()
    for number, (name, errors) in enumerate(per_face.items()):
        values, colour = np.asarray(errors, dtype=np.float64), f"C{number}"
        ax.scatter(angles, values, s=9, color=colour, alpha=0.3, linewidths=0)
        means = [values[bins == at].mean() for at in centres]
        ax.plot(_YAW_BIN * np.array(centres), means, "o-", color=colour, label=f"{name}: mean over {_YAW_BIN}°")
    ax.set(xlabel="true yaw of the head, degrees", ylabel=label, ylim=(0, None))
    ax.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
