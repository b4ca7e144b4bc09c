"""A configuration file runs no program, and settings that cannot be are refused by name."""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyspiga_geo.cli import main
from pyspiga_geo.models import make_config
from pyspiga_geo.training import AugmentationConfig, LossConfig, StageConfig, TrainConfig, UncertaintyConfig

ODD: list[Any] = [2**63, -1, 0, 1.5, float("inf"), float("nan"), "text", "", [], [3, "x"], None, {}, {"a": 1}, True]

Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Train:
    """Exit code and message of ``train`` with a configuration; no run begins."""
    monkeypatch.setattr("pyspiga_geo.training.run.run_training", lambda config: config.out)

    def run(config: Any, *arguments: str) -> tuple[int, str]:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        try:
            main(["train", "--config", str(path), "--out", str(tmp_path / "run"), *arguments])
        except SystemExit as stop:
            return int(stop.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "place",
    [
        "",
        "annotations",
        "model",
        "model.conv",
        "model.conv.0",
        "model.channels",
        "model.backbone_options.widths.0",
        "landmarks",
        "joint.lr",
        "loss",
        "loss.pose",
        "augmentation",
        "augmentation.blur_sigma.1",
        "weights",
        "devices",
    ],
)
def test_no_place_names_code(place: str, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "intruding_module.py").write_text(f"open({str(trace)!r}, 'w')\nIntruder = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    code: Any = {"class_path": "intruding_module.Intruder", "init_args": {}}
    for part in reversed(place.split(".") if place else []):
        code = [1, code] if part.isdigit() else {part: code}
    status, message = train(code if place == "annotations" else {"annotations": "synthetic", **code})
    assert status == 1
    assert "class_path: a configuration must not name code" in message
    assert message.count("\n") == 1
    assert not trace.exists()
    assert "intruding_module" not in sys.modules


def test_a_class_as_text_is_not_looked_for(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_intruder.py").write_text("Intruder = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("landmarks", "loss", "augmentation"):
        status, message = train({"annotations": "synthetic", name: "other_intruder.Intruder"})
        assert (status, message.count("\n")) == (1, 1)
        assert f"{name} must be" in message
    assert "other_intruder" not in sys.modules


def test_other_ways_to_name_code(train: Train, tmp_path: Path) -> None:
    inner = tmp_path / "inner.yaml"
    inner.write_text("class_path: subprocess.Popen")
    base = {"annotations": "synthetic"}
    for config, arguments in [
        ({**base, "landmarks.class_path": "x.Y"}, ()),
        ({**base, "model": {"conv": {"a": [{"init_args": {}}]}}}, ()),
        (base, ("--landmarks", str(inner))),
        (base, ("--model.conv.class_path", "subprocess.Popen")),
    ]:
        status, message = train(config, *arguments)
        assert (status, message.count("\n")) == (1, 1), message
        assert "must not name code" in message
    status, message = train(base, "--model", json.dumps({"conv": {"class_path": "subprocess.Popen"}}))
    assert status == 2  # wrong usage, with the usage before it
    assert "conv.class_path: a configuration must not name code" in message


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"average_decay": 1.5}, "average_decay"),
        ({"average_decay": float("inf")}, "average_decay"),
        ({"landmarks": {"epochs": -1, "lr": 0.1}}, "landmarks.epochs"),
        ({"joint": {"epochs": 1, "lr": -1.5}}, "joint.lr"),
        ({"joint": {"epochs": 1, "lr": float("inf")}}, "joint.lr"),
        ({"devices": 0}, "devices"),
        ({"workers": 500}, "workers"),
        ({"validation_fraction": 1.2}, "validation_fraction"),
        ({"augmentation": {"flip": 1.01}}, "augmentation.flip"),
        ({"loss": {"point_sigma": 0}}, "loss.point_sigma"),
        ({"uncertainty": {"occlusion": 2}}, "uncertainty.occlusion"),
        ({"augmentation": {"occluders": []}}, "augmentation.occluders"),
        ({"model": {"uncertainty": 3}}, "uncertainty"),
        ({"model": {"channels": 2**63}}, "channels"),
        ({"model": {"channels": [3]}}, "channels"),
        ({"model": {"heads": "four"}}, "heads"),
        ({"model": {"dropout": None}}, "dropout"),
    ],
    ids=str,
)
def test_refused_by_name_in_one_sentence(config: dict[str, Any], name: str, train: Train) -> None:
    status, message = train({"annotations": "synthetic", **config})
    assert (status, message.count("\n")) == (1, 1), message
    assert f" {name} must be" in message


def part_of(config: TrainConfig, name: str, part: Any, **values: Any) -> TrainConfig:
    """The same run with another part."""
    changed: TrainConfig = replace(config, **{name: part(**values)})
    return changed


def test_mutated_settings_raise_clear_errors_alone() -> None:
    draw = random.Random(0)
    plain = TrainConfig(Path("synthetic"), Path("out"))
    parts: dict[str, Any] = {"augmentation": AugmentationConfig, "loss": LossConfig, "uncertainty": UncertaintyConfig}
    kinds: list[tuple[Any, dict[str, Any]]] = [
        (partial(part_of, plain, "joint", StageConfig), {"epochs": 1, "lr": 0.1}),
        *((partial(part_of, plain, name, part), asdict(part())) for name, part in parts.items()),
        (TrainConfig, {key: getattr(plain, key) for key in asdict(plain) if key not in ("annotations", "out")}),
        (make_config, asdict(make_config())),
    ]
    refused = 0
    for _ in range(1500):
        make, values = draw.choice(kinds)
        key, odd = draw.choice(sorted(values)), draw.choice(ODD)
        paths = {"annotations": Path("synthetic"), "out": Path("out")} if make is TrainConfig else {}
        try:
            make(**paths, **{**values, key: odd})
        except ValueError as error:
            message = str(error)
        else:
            continue
        refused += 1
        assert key in message
        assert "\n" not in message
    assert refused > 900


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: &m {a: *m}", "too many or too deeply nested values"),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", ""),
        ("seed: " + "[" * 3000 + "]" * 3000, "too many or too deeply nested values"),
        ("average_decay: 1" + "0" * 400, "average_decay: too large a number"),
        ("loss: 3", "loss must be names and values"),
        ("joint: null", "joint must be names and values"),
        ("augmentation: .nan", "augmentation must be names and values"),
    ],
)
def test_values_without_end_or_of_another_kind(text: str, reason: str, train: Train, tmp_path: Path) -> None:
    if not reason:  # each line ten times the one before
        names = "abcdefghi"
        text += "".join(f"\n{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in pairwise(names))
        reason = "too many or too deeply nested values"
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    status, message = train({"annotations": "synthetic"}, "--config", str(path))
    assert (status, message.count("\n")) == (1, 1), message
    assert reason in message
