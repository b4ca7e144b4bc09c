"""Pictures of the table."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ablation.cells import OPERATORS
from ablation.table import MEASURES, Measured, Row
from pyspiga_geo.visualization import save_figure

STYLES = {  # colours that colour-blind people can tell apart, and markers for those who see none
    "attention": ("#d55e00", "o"),
    "none": ("#7f7f7f", "s"),
    "gcn": ("#003f7f", "^"),
    "gat": ("#9ad0f5", "D"),
    "gatv2": ("#5c3a00", "v"),
    "sage": ("#f0e442", "P"),
    "transformer": ("#000000", "X"),
}
OTHER_STYLE = ("#009e73", "*")
CONDITION_STYLES = (("#000000", "o"), ("#56b4e9", "s"), ("#d55e00", "^"))
_UNIT = "mean error, % of the distance of the outer eye corners"


def save_figures(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Write all pictures for which there are cells; return their paths."""
    paths = []
    for name, figure in (
        ("cells.png", _cells([row for row in rows if row.condition == "all"])),
        ("conditions.png", _conditions(rows)),
        ("messages.png", _messages(rows)),
    ):
        if figure is not None:
            paths.append(folder / name)
            save_figure(paths[-1], figure)
    return paths


def _cells(rows: Sequence[Row]) -> Figure:
    """Every cell: mean and spread over seeds, and each seed."""
    figure = Figure(figsize=(8, 1.6 + 0.3 * len(rows)), dpi=110, layout="constrained")
    ax = figure.subplots()
    for place, row in enumerate(rows):
        style = STYLES.get(row.cell.partition(":")[0], OTHER_STYLE)
        _point(ax, row.nme.mean, place, _within_spread(row.nme), style)
        ax.plot(row.nme.per_seed, [place] * row.seeds, "|", color=style[0], markersize=9)
    if rows[0].cell == "attention":
        ax.axvline(rows[0].nme.mean, color="black", linewidth=1.1, linestyle=":")
    _name_places(ax, [row.cell for row in rows])
    ax.set_xlabel(f"{_UNIT}\npoint: mean of the trainings; bar: one standard deviation\nstrokes: each training")
    ax.set_title(f"{rows[0].faces} faces")
    return figure


def _conditions(rows: Sequence[Row]) -> Figure | None:
    """The operators side by side under every condition."""
    operators = [cell.name for cell in OPERATORS if cell.name in {row.cell for row in rows}]
    chosen = [row for row in rows if row.cell in operators and row.faces]
    if len(operators) < 2:
        return None
    names = list(dict.fromkeys(row.condition for row in chosen))
    figure = Figure(figsize=(8, 1.8 + 0.62 * len(names)), dpi=110, layout="constrained")
    ax = figure.subplots()
    for row in chosen:
        offset = 0.7 * (operators.index(row.cell) / (len(operators) - 1) - 0.5)
        place = names.index(row.condition) + offset
        label = row.cell if row.condition == names[0] else None
        _point(ax, row.nme.mean, place, _within_spread(row.nme), STYLES[row.cell], label)
    faces = {row.condition: row.faces for row in chosen}
    _name_places(ax, [f"{name} ({faces[name]} faces)" for name in names])
    ax.set_xlabel(f"{_UNIT}\npoint: mean of the trainings; bar: one standard deviation")
    ax.legend(ncols=min(len(operators), 4), fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _messages(rows: Sequence[Row]) -> Figure | None:
    """What attention brings in each setting: without messages minus with them, errors and likelihoods."""
    conditions = ("all", "far start", "occluded: hidden")
    chosen = [
        (row.cell.partition(": ")[2] or "base", row)
        for row in rows
        if row.cell.partition(":")[0] == "attention" and row.condition in conditions and row.nme.versus_none
    ]
    if not chosen:
        return None
    settings = list(dict.fromkeys(setting for setting, _ in chosen))
    figure = Figure(figsize=(11, 2.2 + 0.5 * len(settings)), dpi=110, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for measure, ax in zip(MEASURES, axes, strict=True):
        for setting, row in chosen:
            number = conditions.index(row.condition)
            place = settings.index(setting) + 0.22 * (number - 1)
            found = getattr(row, measure).versus_none
            _point(ax, -found.difference, place, (-found.high, -found.low), CONDITION_STYLES[number])
        ax.axvline(0, color="black", linewidth=1.1, linestyle=":")
        _name_places(ax, settings)
    axes[0].set_xlabel("error without messages minus error with attention,\n% of the distance of the outer eye corners")
    axes[1].set_xlabel("negative log-likelihood of the truth without messages\nminus with attention, nats per landmark")
    figure.supxlabel("bar: 95 % interval over faces and seeds; right of the line messages help", fontsize=10)
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=2, mec="black", mew=0.8, label=condition)
        for condition, (colour, marker) in zip(conditions, CONDITION_STYLES, strict=True)
    ]
    figure.legend(handles=handles, ncols=3, fontsize=8, loc="outside upper center")
    return figure


def _within_spread(found: Measured) -> tuple[float, float]:
    """One standard deviation to either side of the mean."""
    return found.mean - found.spread, found.mean + found.spread


def _point(
    ax: Axes, x: float, y: float, ends: tuple[float, float], style: tuple[str, str], label: str | None = None
) -> None:
    colour, marker = style
    ax.plot(ends, (y, y), color=colour, linewidth=2, alpha=0.5, solid_capstyle="butt")
    ax.plot(x, y, marker, color=colour, markersize=6, markeredgecolor="black", mew=0.8, label=label)


def _name_places(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
