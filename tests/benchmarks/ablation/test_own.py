"""Graph operators of one's own in the study."""

from pathlib import Path

import pytest
import torch
from ablation.cascades import CellCascade
from ablation.cells import Cell, cell_by_name
from ablation.figures import save_figures
from ablation.own import load_conv
from ablation.results import Result, Settings, result_path
from ablation.table import make_rows
from torch_geometric.nn import MessagePassing

from pyspiga_geo import get_layout
from pyspiga_geo.models import make_config

CODE = """
import torch
from torch_geometric.nn import MessagePassing


class MaxConv(MessagePassing):
    def __init__(self, in_channels, out_channels):
        super().__init__(aggr="max")
        self.lin = torch.nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=self.lin(x))
"""


@pytest.fixture
def conv(tmp_path: Path) -> str:
    path = tmp_path / "my_conv.py"
    path.write_text(CODE, encoding="utf-8")
    return f"{path}:MaxConv"


def test_it_stands_for_the_operator_of_any_cell(conv: str) -> None:
    assert cell_by_name(conv) == Cell(conv)
    assert cell_by_name(f"{conv}: 1 step") == Cell(conv, steps=1)
    for name in ("my_conv.py", f"{conv}: no such setting"):
        with pytest.raises(ValueError, match=r"unknown cell .*; an operator of your own is FILE\.py:NAME"):
            cell_by_name(name)


def test_its_cascade_is_made_of_it(conv: str) -> None:
    config, layout = make_config("compact", channels=8), get_layout("ibug68")
    cascade = CellCascade(Cell(conv, steps=2), layout, config, [config.channels], 8, num_layers=1)
    own = [module for module in cascade.modules() if isinstance(module, MessagePassing)]
    assert [type(module).__name__ for module in own] == ["MaxConv"] * 2


def test_a_wrong_name_is_told_before_the_work_begins(conv: str) -> None:
    with pytest.raises(ValueError, match="defines no function or class MinConv"):
        load_conv(conv.replace("MaxConv", "MinConv"))
    with pytest.raises(ValueError, match="no such file"):
        load_conv("nowhere.py:MaxConv")


def test_results_are_of_one_version_of_the_file(conv: str, tmp_path: Path) -> None:
    def where() -> Path:
        return result_path(tmp_path, Cell(conv), 0, Settings(1, 8), "features")

    before = where()
    assert where() == before
    (tmp_path / "my_conv.py").write_text(CODE.replace('"max"', '"mean"'), encoding="utf-8")
    assert where() != before


@pytest.mark.parametrize("name", ["gin", "my_conv.py:MaxConv"])
def test_it_has_its_row_and_its_place_in_the_pictures(name: str, tmp_path: Path) -> None:
    found = {"clear": torch.rand(4, 3)}
    result = Result(parameters=1, milliseconds=1.0, errors=found, surprises=found)
    results = {Cell(conv): [result] * 2 for conv in ("attention", "none", name)}
    rows = make_rows(results, {"all": ("clear", torch.ones(4, 3, dtype=torch.bool))})
    assert rows[2].cell == name
    assert rows[2].nme.versus_none is not None
    assert tmp_path / "cells.png" in save_figures(tmp_path, rows)
