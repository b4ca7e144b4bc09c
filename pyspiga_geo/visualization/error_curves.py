"""How the errors of faces are spread: their cumulative curve, by contour and by how far the head is turned."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

_YAW_BIN = 15
"""Degrees of yaw over which errors are averaged."""

_FEWEST = 3
"""Faces that a mean over a range of yaw takes at least."""


def cumulative_curve(per_face: Mapping[str, npt.ArrayLike], threshold: float, label: str) -> Figure:
    """Draw the share of faces up to an error, a curve a method.

    Args:
        per_face: What the legend says -> mean error of each face [F].
        threshold: Upper end of the curve.
        label: What the errors are, on the axis.
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
    """Draw the error of each contour, a bar a method.

    Args:
        per_contour: Method -> contour -> error; all methods have the same contours.
        label: What the errors are, on the axis.
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
        yaw: True yaw of each face [F], degrees; faces where it is NaN are left out.
        per_face: Method -> mean error of each face [F].
        label: What the errors are, on the axis.
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
