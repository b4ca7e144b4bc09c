"""The configurations that ship with the package."""

from pathlib import Path

import pytest

import pyspiga_geo.training
from pyspiga_geo import SPIGA
from pyspiga_geo.cli import main
from pyspiga_geo.training import TrainConfig

CONFIGS = sorted(
    path.stem for path in (Path(pyspiga_geo.training.__file__).parent / "configs").glob("*.yaml")
)


def test_which_there_are() -> None:
    assert set(CONFIGS) >= {"compact_300w", "reference_300w", "reference_wflw", "synthetic_quickstart"}


@pytest.mark.parametrize("name", CONFIGS)
def test_each_makes_a_model_of_its_layout(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[TrainConfig] = []
    monkeypatch.setattr("pyspiga_geo.training.run.run_training", runs.append)
    annotations = [] if name == "synthetic_quickstart" else ["--annotations", "train.json"]
    main(["train", "--config", name, "--out", str(tmp_path), *annotations])
    (config,) = runs
    model = SPIGA.from_preset(config.preset, config.layout, **config.model)
    assert model.layout.name == config.layout
    assert config.cascade.epochs > 0
