"""The table of known errors."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from ablation.cells import Cell
from ablation.features import Features
from ablation.results import Result
from ablation.table import as_text, conditions, make_rows, write_csv

from pyspiga_geo import SPIGA

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "ablation" / "shipped.csv"


def test_table_of_known_errors(tiny_model: SPIGA, features: Features, tmp_path: Path):
    groups = conditions(**features.evaluation(), model=tiny_model)
    assert groups["near start"][1].any(dim=1).sum() + groups["far start"][1].any(dim=1).sum() == 4
    assert not (groups["occluded: hidden"][1] & groups["occluded: in sight"][1]).any()
    yaw = sum(groups[name][1].any(dim=1).int() for name in groups if name.startswith("yaw"))
    assert torch.equal(yaw, torch.ones_like(yaw))  # every face is in one of them

    noise = torch.rand(4, 68)
    hidden = groups["occluded: hidden"][1]

    def result(error: float) -> Result:
        errors = {"clear": error + noise, "occluded": error + noise + 3 * hidden}
        return Result(1000, 5.0, errors, {name: 10 * values for name, values in errors.items()})

    none = Cell("none")
    rows = make_rows({Cell(): [result(2), result(3)], none: [result(4)], Cell(steps=1): [result(1)]}, groups)
    of = {(row.cell, row.condition): row for row in rows}
    base = of["attention", "all"]
    assert base.nme.mean == pytest.approx(2.5 + noise.mean().item(), abs=1e-5)
    assert base.nme.spread == pytest.approx(0.5**0.5, abs=1e-5)
    assert base.nll.mean == pytest.approx(10 * base.nme.mean, abs=1e-4)
    assert base.faces == 4
    assert base.nme.versus_attention is None
    assert base.nme.versus_none.difference == pytest.approx(-1.5, abs=1e-5)
    assert base.nll.versus_none.difference == pytest.approx(-15, abs=1e-4)
    assert of["none", "all"].nme.versus_attention.difference == pytest.approx(1.5, abs=1e-5)
    assert np.isnan(of["none", "all"].nme.spread)
    single = of["attention: 1 step", "all"].nme
    assert single.versus_none is None  # there is no cell of one step without messages
    assert single.versus_base.difference == pytest.approx(-1.5, abs=1e-5)
    apart = of["attention", "occluded: hidden"].nme.mean - of["attention", "occluded: in sight"].nme.mean
    assert apart == pytest.approx(3, abs=0.5)

    write_csv(tmp_path / "table.csv", rows)
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    with PUBLISHED.open(encoding="utf-8") as file:
        assert list(lines[0]) == next(csv.reader(file))
    assert len(lines) == 3 * len(groups)
    assert lines[0]["cell"] == "attention"
    assert float(lines[0]["versus_none_difference"]) == pytest.approx(-1.5, abs=1e-3)
    assert lines[0]["versus_attention_difference"] == ""
    assert float(lines[0]["nll_versus_none_difference"]) == pytest.approx(-15, abs=1e-2)
    errors, likelihoods = as_text(rows).split("\n\n")
    for text, difference in ((errors, "+1.500 ["), (likelihoods, "+15.000 [")):
        title, _, *found = text.splitlines()
        assert "percent" in title or "nats" in title
        assert len(found) == 3
        assert found[1].startswith("none")
        assert difference in found[1]
