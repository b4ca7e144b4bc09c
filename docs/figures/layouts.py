"""Every landmark of a layout with its index and its id, on the rigid face seen from the front, in parts."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pyspiga_geo.layouts import IBUG68, WFLW98, Layout

Points = NDArray[np.float64]

PANELS = (
    ("jaw", "jaw"),
    ("right_eyebrow", "left_eyebrow"),
    ("right_eye", "left_eye"),
    ("nose", "mouth"),
)
"""How the names of a panel's contours begin."""

OPENED = 0.2
"""The rigid face has its mouth shut, with lips that lie on each other. The drawing lowers the lower lip by this."""


def frontal(layout: Layout) -> Points:
    """(x, y) [L, 2] as a viewer sees the face: the person's right on the left, y down, mouth opened."""
    points = np.array(layout.shape3d)[:, 1:] * [-1, 1]
    for name, members in layout.contours.items():
        if name.startswith("mouth") and name.endswith("lower"):
            points[list(members[1:-1]), 1] += OPENED
    return points


def contours_of(layout: Layout, part: str) -> dict[str, tuple[int, ...]]:
    """The contours of a panel; an eyebrow is no eye."""
    return {
        name: members
        for name, members in layout.contours.items()
        if name.startswith(part) and ("eyebrow" in name) == ("eyebrow" in part)
    }


def away(points: Points, contours: dict[str, tuple[int, ...]], row: int) -> Points:
    """Direction in which the label of a landmark has room: out of its contour, and into the opened mouth."""
    for name, members in contours.items():
        if row not in members:
            continue
        place = members.index(row)
        before, after = members[max(place - 1, 0)], members[min(place + 1, len(members) - 1)]
        along = points[after] - points[before]
        out = np.array([along[1], -along[0]])  # up, for a contour that runs to the right
        if name.startswith("mouth_inner"):
            inner = [row for lip, rows in contours.items() if lip.startswith("mouth_inner") for row in rows]
            out = (points[inner].mean(axis=0) - points[row]) * [0.75, 1]
        elif name.startswith(("jaw", "nose_base")):
            out = -out
        elif row in (members[0], members[-1]) and not name.startswith("nose"):
            out = points[row] - points[after if row == members[0] else before]
        return out / np.linalg.norm(out) * (1.5 if name.startswith("mouth_inner") else 1)
    return np.zeros(2)


def panel(ax: Axes, layout: Layout, points: Points, part: str) -> None:
    """Some contours, and their landmarks with index and id."""
    contours = contours_of(layout, part)
    rows = {row for members in contours.values() for row in members}
    low, high = points[list(rows)].min(axis=0), points[list(rows)].max(axis=0)
    of_none = set(range(len(layout))) - {row for members in layout.contours.values() for row in members}
    rows |= {row for row in of_none if part != "jaw" and np.all((points[row] > low) & (points[row] < high))}
    if part == "jaw":  # the whole face, to see where the parts are
        for members in layout.contours.values():
            ax.plot(*points[list(members)].T, color="lightgrey", linewidth=2)
    for name, members in contours.items():
        ax.plot(*points[list(members)].T, linewidth=4, alpha=0.55, label=name)
    for row in rows:
        ax.plot(*points[row], "o", color="black", markersize=4)
        outward = away(points, contours, row)
        x, y = (18, 0) if not outward.any() else (17 * outward[0], -19 * outward[1])
        ax.annotate(
            f"$\\mathbf{{{row}}}$\n{layout.ids[row]}",
            points[row],
            (x, y),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            linespacing=1.0,
        )
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.set_axis_off()
    ax.margins(0.16)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=2.2, fontsize=9, frameon=False, ncols=2)


def draw(layout: Layout) -> None:
    """All the parts."""
    _, axes = plt.subplot_mosaic(
        [list(row) for row in PANELS],
        figsize=(11, 17.5),
        layout="constrained",
        height_ratios=[2, 0.5, 0.65, 1],
    )
    for part, ax in axes.items():
        panel(ax, layout, frontal(layout), part)


def ibug68() -> None:
    """The figure of ibug68."""
    draw(IBUG68)


def wflw98() -> None:
    """The figure of wflw98."""
    draw(WFLW98)
