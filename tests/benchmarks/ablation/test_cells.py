"""The names of the cells: they find results of earlier runs, and the rows of the documentation."""

import csv
from pathlib import Path

import pytest
from ablation.cells import CELLS, GRID, QUICK_CELLS, Cell, cell_by_name

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "ablation" / "table.csv"


def test_names_are_those_of_the_published_table():
    with PUBLISHED.open(encoding="utf-8") as file:
        published = {row["cell"] for row in csv.DictReader(file)}
    names = [cell.name for cell in CELLS]
    assert len(set(names)) == len(names)
    assert set(names) == published
    assert all(cell in CELLS for cell in QUICK_CELLS)


def test_the_grid_has_every_combination_once():
    assert len({cell.name for cell in GRID}) == len(GRID) == 3 * 2 * 2 * 2
    assert cell_by_name("gcn: no positions, heatmap windows, coarse map first") in GRID


def test_cells_are_found_by_name():
    assert cell_by_name("none: no positions") == Cell("none", position="unknown")
    assert cell_by_name("none: 1 step") == Cell("none", steps=1)
    with pytest.raises(ValueError, match=r"unknown cell 'gnc'; known: attention; none; gcn"):
        cell_by_name("gnc")
