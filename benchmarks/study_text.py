"""The tables of the study that stand in README and documentation, as Markdown; `fill_pages.py` puts them there."""

import csv
from pathlib import Path

from model_text import table

Cells = dict[tuple[str, str], dict[str, str]]
"""The lines of a table of the study, by cell and condition."""


def study_parts(folder: Path) -> dict[str, str]:
    """Every table, by name; the folder holds what `examples/compare_gcn_gat.py` wrote."""
    shipped = _read(folder / "shipped.csv")
    return {
        "operators.errors": _operators(_read(folder / "table.csv")),
        "shipped.errors": _grid(shipped, "nme", ""),
        "shipped.likelihoods": _grid(shipped, "nll", "nll_"),
        "shipped.again": _operators_on_hidden(_read(folder / "shipped_again.csv")),
    }


def _read(path: Path) -> Cells:
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["cell"], row["condition"]): row for row in csv.DictReader(file)}


def _operators(cells: Cells) -> str:
    """NME of the cells that differ in the operator alone."""
    names = [cell for cell, condition in cells if condition == "all" and ":" not in cell]
    conditions = ("all", "occluded", "occluded: hidden")
    rows = [
        [f"`{name}`"]
        + [_mean(cells[name, each], "nme", "") for each in conditions]
        + [f"{int(cells[name, 'all']['parameters']):,}", cells[name, "all"]["seeds"]]
        for name in sorted(names, key=lambda name: float(cells[name, "all"]["nme"]))
    ]
    return table(["operator", "all", "occluded", "hidden", "parameters", "trainings"], rows)


def _grid(cells: Cells, mean: str, prefix: str) -> str:
    """Operators with and without what the cascade of the shipped models is given; the columns begin with the prefix."""
    names = [cell for cell, condition in cells if condition == "all"]
    rows = []
    for name in sorted(names, key=lambda name: ("heatmap windows" not in name, "coarse map" not in name)):
        clear, hidden = cells[name, "all"], cells[name, "occluded: hidden"]
        rows.append(
            [
                f"`{name.partition(':')[0]}`",
                "yes" if "heatmap windows" in name else "no",
                "both" if "coarse map first" in name else "fine",
                "which landmark" if "no positions" in name else "displacements",
                *(_mean(row, mean, prefix) for row in (clear, hidden)),
                *(_difference(row, f"{prefix}versus_none_") for row in (clear, hidden)),
            ]
        )
    heads = ["operator", "heatmap windows", "maps", "positions", "clear", "hidden"]
    return table([*heads, "clear: minus `none`", "hidden: minus `none`"], rows)


def _operators_on_hidden(cells: Cells) -> str:
    """Errors on clear faces, errors and likelihoods on hidden landmarks, of cells that differ in the operator alone."""
    rows = []
    for name in dict.fromkeys(name for name, _ in cells):
        clear, hidden = cells[name, "all"], cells[name, "occluded: hidden"]
        rows.append(
            [
                f"`{name.partition(':')[0]}`",
                *(_mean(row, "nme", "") for row in (clear, hidden)),
                _difference(hidden, "versus_none_"),
                _mean(hidden, "nll", "nll_"),
                _difference(hidden, "nll_versus_none_"),
            ]
        )
    likelihood = "negative log-likelihood, hidden"
    return table(["operator", "clear", "hidden", "hidden: minus `none`", likelihood, "minus `none`"], rows)


def _mean(row: dict[str, str], mean: str, prefix: str) -> str:
    return f"{float(row[mean]):.2f} ± {float(row[f'{prefix}spread']):.2f}"


def _difference(row: dict[str, str], prefix: str) -> str:
    if not row[f"{prefix}difference"]:
        return ""
    difference, low, high = (float(row[f"{prefix}{part}"]) for part in ("difference", "low", "high"))
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
