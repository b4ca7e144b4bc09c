"""The benchmark of a cascade step, on the smallest sizes."""

import json
import subprocess
import sys
from pathlib import Path

import cascade
import pytest
import torch
from cascade_report import crossing, exponent, growth_table, save_plot, static_table

from pyspiga_geo.nn import landmark_attention

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "cascade.py"


@pytest.fixture(autouse=True)
def _the_layers_own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmark_attention, "DENSE_PAIRS_PER_EDGE", landmark_attention.DENSE_PAIRS_PER_EDGE)


@pytest.mark.slow
def test_smallest_run(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--quick", "--threads", "1", "--landmarks", "10", "20"]
    done = subprocess.run([*command, "--static", "--out", str(tmp_path)], capture_output=True, text=True, check=True)
    assert "time grows as a power of L" in done.stdout
    cells = json.loads((tmp_path / "cascade.json").read_text())["cells"]
    assert [(cell["graph"], cell["landmarks"]) for cell in cells] == [
        (graph, size) for graph in ("complete", "8 nearest", "attention alone") for size in (10, 20)
    ]
    assert all(cell["seconds"] > 0 for cell in cells)
    assert (tmp_path / "cascade.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "graph",
    ["8 nearest", *(pytest.param(graph, marks=pytest.mark.slow) for graph in ("complete", "attention alone"))],
)
def test_a_growing_pass_leaves_nothing(graph: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "CHANNELS", 32)
    found = cascade.measure("growth", None, 0.0, graph=graph, landmarks=12, batch=2, device="cpu")
    assert found["seconds"] > 0
    assert found["passes"] == 3


def test_both_ways_of_a_static_graph_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[str] = []
    for name in ("_propagate", "_attend"):
        original = getattr(cascade.LandmarkAttention, name)

        def counted(self: object, *given: object, name: str = name, original=original) -> object:
            went.append(name)
            return original(self, *given)

        monkeypatch.setattr(cascade.LandmarkAttention, name, counted)
    for way in ("mask", "edges"):
        cascade.static_pass(way, landmarks=30, edges=60, batch=2, device="cpu")()
    assert went == ["_attend"] * 2 + ["_propagate"] * 2


def test_edges() -> None:
    pos = torch.tensor([[0.0, 1, 3], [0, 3, 4]])[..., None].expand(2, 3, 2)
    assert cascade.nearest_edges(pos, 1).tolist() == [[1, 0, 1, 4, 5, 4], [0, 1, 2, 3, 4, 5]]
    source, target = cascade.random_edges(7, 42, "cpu")
    assert not (source == target).any()
    assert len(set(zip(source.tolist(), target.tolist(), strict=True))) == 42


def test_exponents_and_crossings(tmp_path: Path) -> None:
    sizes = [10, 100, 1000]
    growth = {
        graph: [{"landmarks": size, "seconds": 1e-6 * size**power, "bytes": size} for size in sizes]
        for graph, power in (("complete", 2), ("8 nearest", 1), ("attention alone", 2))
    }
    assert exponent(sizes, [cell["seconds"] for cell in growth["complete"]]) == pytest.approx(2)
    assert growth_table(sizes, growth).splitlines()[-1].split() == ["last", "2.00", "1.00", "2.00"]
    cell = {"landmarks": 100, "batch": 1, "pairs_per_edge": [4, 16], "mask": [1.0, 1.0], "edges": [2.0, 0.5]}
    assert crossing(cell) == pytest.approx(8)
    assert crossing({**cell, "mask": [9.0, 9.0]}) is None
    told = static_table([cell], [{"way": "mask", "nodes": 9, "landmarks": 9, "edges": 3, "killed": "SIGKILL"}])
    assert "edges are quicker from 8 on" in told
    assert told.endswith("killed (SIGKILL)")
    save_plot(tmp_path / "cascade.png", sizes, growth, [cell])
    assert (tmp_path / "cascade.png").stat().st_size > 10_000


@pytest.mark.parametrize("arguments", [["--landmarks", "5"], ["--static", "478"], ["--device", "gpu"]])
def test_bad_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cascade.parse(arguments)
    assert arguments[0] in capsys.readouterr().err
