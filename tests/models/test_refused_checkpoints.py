"""Weights files that cannot be used: one sentence says which and why."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pyspiga_geo.models import SPIGA, CheckpointError


@pytest.fixture(scope="module")
def whole(tiny_model: Callable[..., SPIGA], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A weights file without fault."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    tiny_model().save(path)
    return path.read_bytes()


@pytest.fixture
def saved(whole: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole)
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


def changed(path: Path, part: str, **changes: Any) -> None:
    """Change entries of the configuration or layout of a saved model."""
    with safe_open(path, framework="pt") as file:
        value = json.loads(file.metadata()[part])
    rewrite(path, {part: json.dumps({**value, **changes})})


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", r"no such weights file, nor the name of a shipped model \(base, compact\)")
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
