"""Tables and the plot of what cascade.py measures."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.nn import landmark_attention

CONSTANT = landmark_attention.DENSE_PAIRS_PER_EDGE

Cell = dict[str, Any]


def exponent(landmarks: list[int], seconds: list[float]) -> float:
    """Of the power of L that fits best, by least squares of logarithms."""
    return float(np.polyfit(np.log(landmarks), np.log(seconds), 1)[0])


def crossing(cell: Cell) -> float | None:
    """Pairs per edge from which edges are quicker than a mask; None where all that were measured say the same."""
    pairs, ahead = np.log(cell["pairs_per_edge"]), np.log(np.array(cell["mask"]) / np.array(cell["edges"]))
    if not ahead[0] < 0 < ahead[-1]:
        return None
    after = int(np.argmax(ahead > 0))
    return float(np.exp(np.interp(0, ahead[after - 1 : after + 1], pairs[after - 1 : after + 1])))


def growth_table(sizes: list[int], growth: dict[str, list[Cell]]) -> str:
    """Time and memory by the number of landmarks, and the exponents."""
    lines = ["   L" + "".join(f"{graph:>33}" for graph in growth)]
    for row, landmarks in enumerate(sizes):
        lines.append(f"{landmarks:4}" + "".join(_time_and_memory(cells[row]) for cells in growth.values()))
    if len(sizes) > 1 and all("seconds" in cell for cells in growth.values() for cell in cells):
        lines.append("time grows as a power of L:")
        for name, part in (("all", slice(None)), ("last", slice(-2, None))):
            powers = (exponent(sizes[part], [cell["seconds"] for cell in cells[part]]) for cells in growth.values())
            lines.append(f"{name:>4}" + "".join(f"{power:33.2f}" for power in powers))
    return "\n".join(lines)


def _time_and_memory(cell: Cell) -> str:
    if "seconds" not in cell:
        return f"{'killed (' + cell['killed'] + ')':>33}"
    return f"{1e3 * cell['seconds']:17.2f} ms {cell['bytes'] / 1e6:9.1f} MB"


def static_table(static: list[Cell], memory: list[Cell]) -> str:
    """Times by mask and by edges, and where they meet."""
    lines = ["   L   B  pairs per edge     by mask    by edges"]
    for cell in static:
        for pairs, mask, edges in zip(cell["pairs_per_edge"], cell["mask"], cell["edges"], strict=True):
            size = f"{cell['landmarks']:4} {cell['batch']:3} {pairs:15}"
            lines.append(f"{size} {1e3 * mask:8.2f} ms {1e3 * edges:8.2f} ms")
        at = crossing(cell)
        lines.append(f"          edges are quicker {f'from {at:.0f} on' if at else 'nowhere or everywhere'}")
    found = [at for cell in static if (at := crossing(cell)) is not None]
    if found:
        middle = np.exp(np.mean(np.log(found)))
        lines.append(f"DENSE_PAIRS_PER_EDGE: {middle:.0f} by these (geometric mean), the layer has {CONSTANT}")
    for cell in memory:
        size = f"{cell['landmarks']} nodes, {cell['edges']} edges"
        lines.append(f"{size}, by {cell['way']:5} {_time_and_memory(cell)}")
    return "\n".join(lines)


def save_plot(path: Path, sizes: list[int], growth: dict[str, list[Cell]], static: list[Cell]) -> None:
    """Time and memory by L, and the ratio of the two ways by pairs per edge."""
    figure = Figure(figsize=(14, 4.4), dpi=100, layout="constrained")
    time, memory, ratio = figure.subplots(1, 3)
    for (graph, cells), colour, marker in zip(growth.items(), ("#d55e00", "#0072b2", "#777777"), "o^s", strict=True):
        known = [cell for cell in cells if "seconds" in cell]
        landmarks, seconds = [cell["landmarks"] for cell in known], [cell["seconds"] for cell in known]
        label = f"{graph}: L^{exponent(landmarks, seconds):.2f}" if len(known) > 1 else graph
        time.loglog(landmarks, [1e3 * each for each in seconds], marker + "-", color=colour, label=label)
        megabytes = [cell["bytes"] / 1e6 for cell in known]
        memory.loglog(landmarks, megabytes, marker + "-", color=colour, label=graph)
    for ax, what in ((time, "time [ms]"), (memory, "memory [MB]")):
        ax.set(xlabel="landmarks L", title=f"forward + backward: {what}")
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.set_xticks([], minor=True)
        ax.legend()
    shades = colormaps["viridis"](np.linspace(0, 0.85, max(len(static), 1)))
    for cell, shade, marker in zip(static, shades, "o^sDvPX*" * len(static), strict=False):
        ahead = np.array(cell["mask"]) / np.array(cell["edges"])
        label = f"L = {cell['landmarks']}, B = {cell['batch']}"
        ratio.loglog(cell["pairs_per_edge"], ahead, marker + "-", color=shade, label=label)
    ratio.axhline(1, color="black", linewidth=1.1)
    ratio.axvline(CONSTANT, color="black", linewidth=1.1, linestyle="--", label=f"{CONSTANT}: the layer's choice")
    ratio.set(xlabel="pairs per edge", title="static graphs: time by mask / time by edges")
    for axis in (ratio.xaxis, ratio.yaxis):
        axis.set_major_locator(LogLocator(base=2))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    ratio.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
