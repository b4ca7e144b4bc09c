"""The configurations that ship with the package."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import pyspiga_geo.training
from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.cli import main
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.data.transforms import reference_augmentation
from pyspiga_geo.models import make_config
from pyspiga_geo.training import TrainConfig
from pyspiga_geo.training.augmentation import photometric, random_crop

CONFIGS = sorted(path.stem for path in (Path(pyspiga_geo.training.__file__).parent / "configs").glob("*.yaml"))
REFERENCES = [name for name in CONFIGS if name.startswith("reference")]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], TrainConfig]:
    """A shipped configuration as the command line reads it."""

    def read(name: str) -> TrainConfig:
        runs: list[TrainConfig] = []
        monkeypatch.setattr("pyspiga_geo.training.run.run_training", runs.append)
        annotations = [] if name == "synthetic_quickstart" else ["--annotations", "train.json"]
        main(["train", "--config", name, "--out", str(tmp_path), *annotations])
        (config,) = runs
        return config

    return read


def test_which_there_are() -> None:
    assert set(CONFIGS) >= {"compact_300w", "reference_300w", "reference_wflw", "synthetic_quickstart"}


@pytest.mark.parametrize("name", CONFIGS)
def test_each_makes_a_model_of_its_layout(name: str, load: Callable[[str], TrainConfig]) -> None:
    config = load(name)
    model = SPIGA.from_preset(config.preset, config.layout, **config.model)
    assert model.layout.name == config.layout
    assert config.cascade.epochs + config.joint.epochs + config.uncertainty.epochs > 0


@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_draws_its_heatmaps(name: str, load: Callable[[str], TrainConfig]) -> None:
    config = load(name)
    model = make_config(config.preset, **config.model)
    assert (config.loss.point_sigma, config.loss.boundary_sigma) == (1.5, 1)
    assert (model.crop_scale, model.focal_ratio, model.image_size) == (1.6, 1.5, 256)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_varies_faces_like_its_preset(name: str, load: Callable[[str], TrainConfig]) -> None:
    config = load(name)
    layout = get_layout(config.layout)
    crop = random_crop(config.augmentation, layout, 64, make_config(config.preset).crop_scale)
    light, preset = photometric(config.augmentation), reference_augmentation(layout, 64)
    faces = SyntheticFaces(layout)
    for seed in range(6):
        photo = faces[seed]
        torch.manual_seed(seed)
        expected = preset(photo)
        torch.manual_seed(seed)
        face = crop(photo)
        assert torch.equal(light(face.image[None])[0], expected.image)
        assert torch.equal(face.pos, expected.pos)
        assert torch.equal(face.visible, expected.visible)
