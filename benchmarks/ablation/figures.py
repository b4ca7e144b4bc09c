"""Pictures of the table."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablation.cells import OPERATORS
from ablation.table import Row
from pyspiga_geo.visualization import save_figure

_COLOURS = {
    "attention": "#d1495b",
    "none": "#5c677d",
    "gcn": "#2e86ab",
    "gat": "#66a182",
    "gatv2": "#8d6b94",
    "sage": "#edae49",
    "transformer": "#00798c",
}
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
        colour = _COLOURS[row.cell.partition(":")[0]]
        _point(ax, row.nme, place, (row.nme - row.spread, row.nme + row.spread), colour)
        ax.plot(row.per_seed, [place] * row.seeds, "|", color=colour, markersize=9)
    if rows[0].cell == "attention":
        ax.axvline(rows[0].nme, color="black", linewidth=0.7, linestyle=":")
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
        ends = (row.nme - row.spread, row.nme + row.spread)
        _point(ax, row.nme, place, ends, _COLOURS[row.cell], label)
    faces = {row.condition: row.faces for row in chosen}
    _name_places(ax, [f"{name} ({faces[name]} faces)" for name in names])
    ax.set_xlabel(f"{_UNIT}\npoint: mean of the trainings; bar: one standard deviation")
    ax.legend(ncols=min(len(operators), 4), fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _messages(rows: Sequence[Row]) -> Figure | None:
    """What attention brings in each setting: error without messages minus error with them."""
    conditions = ("all", "far start", "occluded: hidden")
    chosen = [
        (row.cell.partition(": ")[2] or "base", row)
        for row in rows
        if row.cell.partition(":")[0] == "attention" and row.condition in conditions and row.versus_none
    ]
    if not chosen:
        return None
    settings = list(dict.fromkeys(setting for setting, _ in chosen))
    figure = Figure(figsize=(8, 2.2 + 0.5 * len(settings)), dpi=110, layout="constrained")
    ax = figure.subplots()
    for setting, row in chosen:
        number = conditions.index(row.condition)
        place = settings.index(setting) + 0.22 * (number - 1)
        found = row.versus_none
        label = row.condition if setting == settings[0] else None
        colour = ("#222222", "#2e86ab", "#d1495b")[number]
        _point(ax, -found.difference, place, (-found.high, -found.low), colour, label)
    ax.axvline(0, color="black", linewidth=0.7, linestyle=":")
    _name_places(ax, settings)
    ax.set_xlabel(
        "error without messages minus error with attention,\n% of the distance of the outer eye corners\n"
        "bar: 95 % interval over faces and seeds; right of the line messages help"
    )
    ax.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _point(ax: Axes, x: float, y: float, ends: tuple[float, float], colour: str, label: str | None = None) -> None:
    ax.plot(ends, (y, y), color=colour, linewidth=2, alpha=0.5, solid_capstyle="butt")
    ax.plot(x, y, "o", color=colour, markersize=5, label=label)


def _name_places(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
