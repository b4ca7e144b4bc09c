"""The tables of the study that stand in README and documentation, as Markdown; `fill_pages.py` puts them there."""

import csv
from pathlib import Path

from model_text import table

Cells = dict[tuple[str, str], dict[str, str]]
"""The lines of a table of the study, by cell and condition."""


def study_parts(folder: Path) -> dict[str, str]:
    """Every table, by name; the folder holds what `examples/compare_gcn_gat.py` wrote."""
    return {"operators.errors": _operators(_read(folder / "table.csv"))}


def _read(path: Path) -> Cells:
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["cell"], row["condition"]): row for row in csv.DictReader(file)}


def _operators(cells: Cells) -> str:
    """NME of the cells that differ in the operator alone."""
    names = [cell for cell, condition in cells if condition == "all" and ":" not in cell]
    conditions = ("all", "occluded", "occluded: hidden")
    rows = [
        [f"`{name}`"]
        + [f"{float(cells[name, each]['nme']):.2f} ± {float(cells[name, each]['spread']):.2f}" for each in conditions]
        + [f"{int(cells[name, 'all']['parameters']):,}", cells[name, "all"]["seeds"]]
        for name in sorted(names, key=lambda name: float(cells[name, "all"]["nme"]))
    ]
    return table(["operator", "all", "occluded", "hidden", "parameters", "trainings"], rows)
