"""Weights on disk: what comes back, and what is refused."""

import json
import pickle
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pyspiga_geo.layouts import Layout, available_layouts
from pyspiga_geo.models import SPIGA, CheckpointError, read_about, reference_model
from pyspiga_geo.models.checkpoint import read_reference

TinyModel = Callable[..., SPIGA]


@pytest.fixture
def model(tiny_model: TinyModel) -> SPIGA:
    """A model none of whose values is where it starts."""
    model = tiny_model()
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value) / 16)
    return model


@pytest.fixture
def saved(model: SPIGA, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def rewrite(path: Path, metadata: dict[str, Any] | None = None, **tensors: Tensor) -> None:
    """Write a saved model again with other metadata or tensors; None takes a metadata entry away."""
    with safe_open(path, framework="pt") as file:
        kept, state = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    kept = {key: value for key, value in {**kept, **(metadata or {})}.items() if value is not None}
    save_file({**state, **tensors}, path, kept)


def refused(path: str | Path, reason: str) -> None:
    """One sentence that names the file and says why."""
    with pytest.raises(CheckpointError, match=reason) as error:
        SPIGA.from_pretrained(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# ---- there and back


def test_round_trip(model: SPIGA, saved: Path) -> None:
    loaded = SPIGA.from_pretrained(saved)
    assert not loaded.training
    assert loaded.config == model.config
    assert loaded.layout.to_dict() == model.layout.to_dict()
    state, expected = loaded.state_dict(), model.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in state)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(images).landmarks, model(images).landmarks)


def test_path_may_be_a_string(model: SPIGA, tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "folder" / "model.safetensors")
    model.save(path)
    assert SPIGA.from_pretrained(path).config == model.config


def test_configuration_other_than_the_preset(tiny_model: TinyModel, tmp_path: Path) -> None:
    model = tiny_model(preset="reference", conv="gatv2", num_steps=1)
    model.save(tmp_path / "a.safetensors")
    loaded = SPIGA.from_pretrained(tmp_path / "a.safetensors")
    assert loaded.config == model.config
    assert (loaded.config.conv, loaded.config.channel_order) == ("gatv2", "bgr")


def test_half_precision(model: SPIGA, saved: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    model.save(half, half=True)
    assert half.stat().st_size < 0.75 * saved.stat().st_size  # names and vectors stay
    loaded = SPIGA.from_pretrained(half)
    rounded, state = 0, loaded.state_dict()
    for name, parameter in model.named_parameters():
        value = state[name]
        assert value.dtype == torch.float32
        assert torch.equal(value, parameter.half().float() if parameter.dim() > 1 else parameter), name
        rounded += not torch.equal(value, parameter)
    assert rounded > 50


def test_half_precision_spares_the_buffers(model: SPIGA, tmp_path: Path) -> None:
    model.save(tmp_path / "half.safetensors", half=True)
    loaded = SPIGA.from_pretrained(tmp_path / "half.safetensors")
    state = loaded.state_dict()
    parameters = dict(model.named_parameters())
    buffers = {name: value for name, value in model.state_dict().items() if name not in parameters}
    assert {"shape3d", "camera"} < set(buffers)
    assert [name for name, value in buffers.items() if not torch.equal(state[name], value)] == []


def test_own_layout_needs_no_registration(tiny_model: TinyModel, tmp_path: Path) -> None:
    corners = np.array([[0.1, 1, 1], [0.2, -1, 1], [0.3, 1 / 3, -1], [1.5, -1, -1]])
    layout = Layout("gable", ids=(4, 3, 9, 7), flip=(1, 0, 3, 2), contours={"roof": (0, 3, 1)}, shape3d=corners)
    model = tiny_model(layout)
    model.save(tmp_path / "own.safetensors")
    loaded = SPIGA.from_pretrained(tmp_path / "own.safetensors")
    assert "gable" not in available_layouts()
    assert loaded.layout.to_dict() == layout.to_dict()
    assert loaded.layout.shape3d is not None
    assert np.array_equal(loaded.layout.shape3d, corners)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(images).landmarks, model(images).landmarks)


# ---- files that cannot be used


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", r"no such weights file, nor the name of a shipped model \(compact\)")
    refused("compacted", "no such weights file")
    refused(tmp_path, "no such weights file")


def test_text_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_text("These are notes and not weights.\n" * 20)
    refused(path, "not a safetensors file, or damaged")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    path.touch()
    refused(path, "not a safetensors file, or damaged")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_truncated_file(share: float, saved: Path) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    refused(saved, "not a safetensors file, or damaged")


def test_reference_weights_must_be_converted_first(tmp_path: Path) -> None:
    torch.save({"pose_fc.bias": torch.zeros(6)}, tmp_path / "weights.pt")
    refused(tmp_path / "weights.pt", "`pyspiga-geo convert` first")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_of_something_else(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"fc.weight": torch.zeros(3, 3)}, path, metadata)
    refused(path, "another kind of model, not of SPIGA")


def changed(path: Path, part: str, **changes: Any) -> None:
    """Change entries of the configuration or layout of a saved model."""
    with safe_open(path, framework="pt") as file:
        value = json.loads(file.metadata()[part])
    rewrite(path, {part: json.dumps({**value, **changes})})


def test_configuration_of_a_later_version(saved: Path) -> None:
    changed(saved, "config", num_experts=8)
    refused(saved, "its configuration cannot be read: unknown configuration num_experts")


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "7", "null"])
@pytest.mark.parametrize("part", ["config", "layout"])
def test_damaged_metadata(part: str, text: str | None, saved: Path) -> None:
    rewrite(saved, {part: text})
    refused(saved, "its configuration cannot be read")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("config", {"conv": "no such operator"}),
        ("config", {"bound": "sigmoid"}),
        ("config", {"depth": 9}),
        ("config", {"image_size": "32"}),
        ("config", {"heads": 3}),
        ("config", {"heads": 0}),
        ("config", {"channels": -8}),
        ("config", {"channels": 2**63}),
        ("config", {"window": "wide"}),
        ("config", {"conv": {"class_path": "subprocess.Popen", "init_args": {"args": "id"}}}),
        ("config", {"backbone_options": {"a": [{"class_path": "subprocess.Popen"}]}}),
        ("config", {"backbone": ["hourglass"]}),
        ("layout", {"contours": True}),
        ("layout", {"contours": {"jaw": 3}}),
        ("layout", {"ids": [float("inf")]}),
        ("layout", {"name": {"class_path": "subprocess.Popen"}}),
        ("layout", {"flip": [0]}),
        ("layout", {"shape3d": None}),
        ("layout", {"name": "x", "colour": "red"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_configuration_that_makes_no_model(part: str, changes: dict[str, Any], saved: Path) -> None:
    changed(saved, part, **changes)
    refused(saved, "configuration")


def test_sizes_are_compared_before_memory_is_asked_for(saved: Path) -> None:
    changed(saved, "config", channels=8192, num_stacks=8, hidden_channels=8192)  # a terabyte
    refused(saved, "entries do not fit the model")


def test_mutated_metadata_raise_checkpoint_errors_alone(saved: Path) -> None:
    draw = random.Random(0)
    odd = [2**63, -1, 0, 1.5, float("inf"), "text", [], [[]], [3, "x"], None, {}, {"a": 1}, True]
    with safe_open(saved, framework="pt") as file:
        plain = {part: json.loads(file.metadata()[part]) for part in ("config", "layout")}
    for _ in range(15):
        part = draw.choice(sorted(plain))
        value = {**plain[part], draw.choice(sorted(plain[part])): draw.choice(odd)}
        rewrite(saved, {**{other: json.dumps(plain[other]) for other in plain}, part: json.dumps(value)})
        with suppress(CheckpointError):
            SPIGA.from_pretrained(saved)


def test_configuration_of_other_weights(saved: Path) -> None:
    changed(saved, "config", hidden_channels=32)
    refused(saved, r"entries do not fit the model: cascade\.steps")
    changed(saved, "config", hidden_channels=16, num_stacks=3)
    refused(saved, r"entries do not fit the model: backbone\.stacks")


def test_missing_and_foreign_entries(saved: Path) -> None:
    rewrite(saved, stranger=torch.zeros(2), shape3d=torch.zeros(67, 3))
    refused(saved, "2 entries do not fit the model: stranger, shape3d")


# ---- saving


def test_a_function_as_operator_cannot_be_saved(tiny_model: TinyModel, tmp_path: Path) -> None:
    model = tiny_model(conv=lambda i, o: Sum(i, o))
    with pytest.raises(ValueError, match="conv is a function cannot be saved"):
        model.save(tmp_path / "folder" / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


class Sum(nn.Module):
    """An operator of one's own."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.lin(torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]]))


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_nothing_half_written_stays(
    error: BaseException, model: SPIGA, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = saved.read_bytes()

    def fail(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:100])
        raise error

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(type(error)):
        model.save(saved)
    with pytest.raises(type(error)):
        model.save(saved.with_name("new.safetensors"))
    assert list(saved.parent.iterdir()) == [saved]
    assert saved.read_bytes() == whole


# ---- the authors' files


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
def small_preset(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """All presets are of the size of ``small_state``."""
    monkeypatch.setattr(SPIGA, "from_preset", partial(SPIGA.from_preset, **reference.SMALL))


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
def test_the_reference_file_tells_its_layout(
    layout: str, small_preset: None, small_state: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    state = small_state(layout)
    torch.save(state, tmp_path / "weights.pt")
    model = reference_model(tmp_path / "weights.pt")
    assert model.layout.name == layout
    assert not model.training
    assert torch.equal(model.backbone.stacks[-1].pose.bias, state["pose_fc.bias"].float())


def test_weights_say_what_they_are(tiny_model: Callable[..., SPIGA], tmp_path: Path) -> None:
    path, model = tmp_path / "a.safetensors", tiny_model()
    model.save(path)
    assert read_about(path) == {}
    model.save(path, about={"seed": 3, "data": {"faces": 7}})
    assert read_about(path) == {"seed": 3, "data": {"faces": 7}}
    assert torch.equal(SPIGA.from_pretrained(path).state_dict()["shape3d"], model.state_dict()["shape3d"])
    for content in (b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.safetensors: its metadata cannot be read"):
            read_about(path)
    with pytest.raises(CheckpointError, match="absent"):
        read_about(tmp_path / "absent.safetensors")
