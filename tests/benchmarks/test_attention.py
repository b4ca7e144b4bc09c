import json
import subprocess
import sys
from pathlib import Path

import attention
import pytest
import torch

from pyspiga_geo.nn import LandmarkAttention

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "attention.py"


@pytest.mark.slow
def test_smallest_table(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--quick", "--landmarks", "8", "--batch", "2", "--threads", "1"]
    done = subprocess.run([*command, "--json", str(tmp_path / "a.json")], capture_output=True, text=True, check=True)
    rows = done.stdout.splitlines()[-4:]
    assert [row.split()[0] for row in rows] == ["8", "bare", "TransformerConv", "GATv2Conv"]
    assert "LandmarkAttention" in rows[0]
    assert all(row.rstrip().endswith("%") and " x " in row for row in rows[1:])
    assert "[4/4] L=8 B=2 GATv2Conv" in done.stderr
    cells = json.loads((tmp_path / "a.json").read_text())["cells"]
    assert [cell["layer"] for cell in cells] == [
        "LandmarkAttention",
        "bare attention",
        "TransformerConv",
        "GATv2Conv",
    ]
    assert all(cell["seconds"] > 0 and cell["passes"] >= 3 and cell["threads"] == 1 for cell in cells)
    assert all(0 <= cell["bytes"] < 1e9 for cell in cells)


@pytest.mark.parametrize(
    "arguments",
    [["--landmarks", "1"], ["--batch", "0"], ["--json", "no/such/folder/a.json"], ["--device", "gpu"]],
)
def test_bad_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        attention.parse(arguments)
    assert arguments[0] in capsys.readouterr().err


def test_the_layers_do_the_same_work() -> None:
    def parts(layer: str) -> tuple[torch.nn.Module, torch.Tensor, object]:
        run = attention.make_pass(layer, landmarks=5, batch=3, device="cpu")
        cells = dict(zip(run.__code__.co_freevars, (cell.cell_contents for cell in run.__closure__), strict=True))
        return cells["conv"], cells["x"], run

    ours, x, our_pass = parts("LandmarkAttention")
    theirs, flat, their_pass = parts("TransformerConv")
    assert torch.equal(x.flatten(0, 1), flat)
    for name in ("lin_query", "lin_key", "lin_value"):
        getattr(theirs, name).load_state_dict(getattr(ours, name).state_dict())
    with torch.no_grad():  # TransformerConv divides the similarity by the root of a head's channels
        theirs.lin_query.weight.mul_(8)
        theirs.lin_query.bias.mul_(8)
    (out, gradient), (their_out, their_gradient) = our_pass(), their_pass()
    assert torch.allclose(out.flatten(0, 1), their_out, atol=1e-5)
    assert torch.allclose(gradient.flatten(0, 1), their_gradient, atol=1e-5)
    assert gradient.abs().max() > 0
    _, flat, gat_pass = parts("GATv2Conv")
    assert torch.equal(x.flatten(0, 1), flat)
    assert [part.shape for part in gat_pass()] == [(15, 256), (15, 256)]


def test_bare_attention_is_landmark_attention_without_a_graph() -> None:
    bare = attention.BareAttention()
    ours = LandmarkAttention(attention.CHANNELS, attention.CHANNELS, attention.HEADS, include_self=True)
    ours.load_state_dict(bare.state_dict())
    x = torch.randn(2, 5, attention.CHANNELS)
    assert torch.allclose(bare(x), ours(x), atol=1e-5)


def test_cells_that_do_not_fit_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "available_bytes", lambda device: 24e9)
    result = attention.measure("GATv2Conv", 478, 16, "cpu", None, 1.0)
    assert set(result) == {"needs_bytes"}
    ours = {"seconds": 0.1, "bytes": 1e6}
    assert attention.row(result, ours) == "needs ~22 GB"


def test_ratios() -> None:
    ours = {"seconds": 0.02, "bytes": 20e6}
    assert attention.row(ours, ours).split() == ["20.00", "ms", "20.0", "MB"]
    theirs = attention.row({"seconds": 0.8, "bytes": 800e6}, ours)
    assert theirs.split() == ["800.00", "ms", "800.0", "MB", "40.0", "x", "2.5", "%"]
    assert attention.row({"killed": "SIGKILL"}, ours) == "killed (SIGKILL)"
