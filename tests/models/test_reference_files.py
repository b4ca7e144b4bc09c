"""The authors' files: what is read, and that no code in them is run."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pyspiga_geo.cli import main
from pyspiga_geo.models import SPIGA, CheckpointError, reference_model
from pyspiga_geo.models.checkpoint import read_reference


def test_reference_file(tmp_path: Path) -> None:
    state = {"pose_fc.bias": torch.arange(6.0), "steps": torch.tensor(3)}
    torch.save(state, tmp_path / "weights.pt")
    found = read_reference(tmp_path / "weights.pt")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


class Intruder:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return open, (str(self.trace), "w")


@pytest.mark.parametrize("plain", [False, True], ids=["torch", "pickle"])
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "in a state dict"])
def test_code_in_a_pickle_is_not_run(plain: bool, hidden: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pt", tmp_path / "trace"
    content: Any = Intruder(trace)
    if hidden:
        content = {"pose_fc.bias": torch.zeros(6), "pose_fc.weight": content}
    if plain:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    for read in (read_reference, reference_model):
        with pytest.raises(CheckpointError, match="a pickle with code in it, which is never run"):
            read(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes()) if plain else torch.load(path, weights_only=False)  # the trap does work
    assert trace.exists()


def test_damaged_reference_files(tmp_path: Path) -> None:
    whole, part, text = tmp_path / "whole.pt", tmp_path / "part.pt", tmp_path / "text.pt"
    torch.save({"a": torch.rand(1000)}, whole)
    part.write_bytes(whole.read_bytes()[:1000])
    text.write_text("not weights")
    for path in (part, text, tmp_path):
        with pytest.raises(CheckpointError, match="damaged") as error:
            read_reference(path)
        assert str(error.value).startswith(str(path))
    with pytest.raises(CheckpointError, match="no such file"):
        read_reference(tmp_path / "none.pt")


@pytest.mark.parametrize(
    "content",
    [torch.zeros(3), [torch.zeros(3)], {"epoch": 3}, {"model": {"a": torch.zeros(3)}}, {0: torch.zeros(3)}],
    ids=["tensor", "list", "numbers", "nested", "numbered"],
)
def test_reference_files_without_a_state_dict(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="not a state dict"):
        read_reference(tmp_path / "weights.pt")


@pytest.fixture
def small_preset(entries: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """All presets are of the size of ``small_state``."""
    monkeypatch.setattr(SPIGA, "from_preset", partial(SPIGA.from_preset, **entries.SMALL))


def test_reference_file_of_another_network(small_preset: None, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"fc.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ValueError, match="not the state dict of the reference network") as error:
        reference_model(path)
    assert str(error.value).startswith(str(path))
    torch.save({"visual_cnn.outs_points.0.0.conv.weight": torch.zeros(98, 32, 1, 1)}, path)
    with pytest.raises(ValueError, match=r"missing pose_fc\.bias") as error:
        reference_model(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("layout", ["ibug68", "wflw98"])
def test_a_converted_file_tells_its_layout_and_gives_the_authors_landmarks(
    layout: str,
    small_preset: None,
    small_state: Callable[[str], dict[str, Tensor]],
    reference: ModuleType,
    tmp_path: Path,
) -> None:
    state, theirs, ours = small_state(layout), tmp_path / "weights.pt", tmp_path / "converted.safetensors"
    torch.save(state, theirs)
    main(["convert", str(theirs), str(ours)])
    model, images = SPIGA.from_pretrained(ours), torch.rand(1, 3, 128, 128)
    assert model.layout.name == layout
    assert torch.equal(model.backbone.stacks[-1].pose.bias, state["pose_fc.bias"].float())
    with torch.no_grad():
        found = model(images).landmarks
        expected = reference.reference_forward(
            state, images.flip(1).double(), model.layout.shape3d, model.layout.boundary_matrix
        )["landmarks"][-1]
    assert (found - expected).abs().max() < 1e-4  # in single precision
