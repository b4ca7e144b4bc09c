"""Weights on disk: what comes back, and how they are written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyspiga_geo.layouts import Layout, available_layouts
from pyspiga_geo.models import SPIGA, CheckpointError, read_about

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
