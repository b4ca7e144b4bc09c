"""The stage that teaches a finished model how sure it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pyspiga_geo import SPIGA
from pyspiga_geo.layouts.shape_modes import shape_modes
from pyspiga_geo.training import AugmentationConfig, StageConfig, TrainConfig, UncertaintyConfig

pytest.importorskip("lightning")
from pyspiga_geo.training.config import OCCLUDERS
from pyspiga_geo.training.data import FaceDataModule
from pyspiga_geo.training.run import run_training
from pyspiga_geo.training.uncertainty import UncertaintyStage, calibrate, occluded

pytestmark = pytest.mark.usefixtures("undrawn")

OFF = StageConfig(epochs=0, lr=1e-3)


def run_of(out: Path, weights: Path, epochs: int, shape_modes: int = 0) -> TrainConfig:
    """Two steps an epoch on synthetic faces."""
    return TrainConfig(
        Path("synthetic"),
        out,
        weights=str(weights),
        synthetic_faces=14,
        batch_size=6,
        workers=0,
        landmarks=OFF,
        pose=OFF,
        cascade=OFF,
        joint=OFF,
        uncertainty=UncertaintyConfig(epochs=epochs, lr=1e-2, shape_modes=shape_modes),
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny_model: SPIGA) -> Path:
    """A finished model without a head."""
    path = tmp_path_factory.mktemp("weights") / "first.safetensors"
    tiny_model.save(path, half=True)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """What two epochs make of it."""
    return run_training(run_of(tmp_path_factory.mktemp("runs") / "run", weights, epochs=2))


def test_the_head_learns_and_no_landmark_moves(trained: Path, weights: Path) -> None:
    first, model = SPIGA.from_pretrained(weights), SPIGA.from_pretrained(trained)
    assert model.config == replace(first.config, uncertainty=True)
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in first.state_dict().items())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before, after = first(images), model(images)
    assert torch.equal(after.landmarks, before.landmarks)
    assert before.covariance is before.visible is None
    assert after.covariance is not None
    assert after.covariance.shape == (2, 68, 2, 2)
    assert (model.uncertainty.bias != 0).all()
    assert model.uncertainty.spread != 1
    validation = FaceDataModule(run_of(trained.parent, weights, 2), model.config).whole_validation()
    spread = model.uncertainty.spread.clone()
    calibrate(model, validation)
    torch.testing.assert_close(model.uncertainty.spread, spread, rtol=1e-3, atol=0)  # weights were stored as float16
    calibrate(model, [])
    assert model.uncertainty.spread == 1
    log = (trained.parent / "uncertainty" / "csv" / "version_0" / "metrics.csv").read_text()
    for name in ("loss/likelihood", "loss/visible", "val/likelihood", "val/visible"):
        assert name in log.splitlines()[0]
    assert (trained.parent / "report.md").exists()


@pytest.mark.slow
def test_an_interrupted_stage_goes_on_where_it_was(
    tmp_path: Path, trained: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(stage: UncertaintyStage) -> None:
        if stage.current_epoch == 1:
            raise RuntimeError("the power went")

    run = run_of(tmp_path / "run", weights, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(UncertaintyStage, "on_train_epoch_start", fail)
        with pytest.raises(RuntimeError, match="the power went"):
            run_training(run)
    resumed = SPIGA.from_pretrained(run_training(run)).state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in SPIGA.from_pretrained(trained).state_dict().items())


def test_the_model_learns_which_shapes_there_are(tmp_path: Path, weights: Path) -> None:
    run = run_of(tmp_path / "run", weights, epochs=1, shape_modes=5)
    model = SPIGA.from_pretrained(run_training(run))
    assert model.config.shape_modes == 5
    faces, layout = FaceDataModule(run, model.config).training, model.layout
    shapes = np.stack([faces.get(index).pos.double().numpy() for index in range(len(faces))])
    expected = shape_modes(shapes, layout.ids, 5, layout.flip)
    np.testing.assert_allclose(model.shape_prior.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(model.shape_prior.variances, expected.variances, rtol=1e-5)
    with torch.no_grad():
        out = model(torch.rand(2, 3, 64, 64))
    assert torch.equal(out.landmarks, model.shape_prior(out.steps[-1], out.covariance, out.visible))
    assert not torch.equal(out.landmarks, out.steps[-1])


def test_too_few_shapes_are_refused_at_once(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ValueError, match=r"^uncertainty.shape_modes: 40 modes of shape need 41 faces or more"):
        run_training(run_of(tmp_path / "run", weights, epochs=1, shape_modes=40))
    assert not (tmp_path / "run").exists()


def test_without_epochs_there_is_no_such_stage(tmp_path: Path, weights: Path) -> None:
    run = run_of(tmp_path / "run", weights, epochs=0)
    assert TrainConfig(Path("synthetic"), tmp_path).uncertainty.epochs == 0
    assert SPIGA.from_pretrained(run_training(run)).uncertainty is None
    assert not (tmp_path / "run" / "uncertainty").exists()


def test_only_the_head_learns_and_only_it_trains(tmp_path: Path, tiny_model: SPIGA) -> None:
    stage = UncertaintyStage(tiny_model.with_uncertainty(), run_of(tmp_path, tmp_path / "none", epochs=1))
    names = {name for name, each in stage.model.named_parameters() if each.requires_grad}
    assert names
    assert all(name.startswith("uncertainty.") for name in names)
    assert {name for name, each in stage.model.named_modules() if each.training} == {
        f"uncertainty.{name}".rstrip(".") for name, _ in stage.model.uncertainty.named_modules()
    }


def test_its_crops_have_occluders_of_all_kinds(tmp_path: Path) -> None:
    config = replace(
        run_of(tmp_path, tmp_path / "none", epochs=1), augmentation=AugmentationConfig(degrees=7, occlusion=0)
    )
    painted = occluded(config).augmentation
    assert (painted.degrees, painted.occlusion, painted.occlusion_size) == (7, 0.5, (0.1, 0.5))
    assert painted.occluders == OCCLUDERS


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", -1), ("occlusion", 1.5), ("occlusion_size", (0.5, 0.1)), ("visible", -1.0), ("shape_modes", -1)],
)
def test_refused_by_name(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^uncertainty.{name} must be"):
        TrainConfig(tmp_path, tmp_path, uncertainty=UncertaintyConfig(**{name: value}))  # type: ignore[arg-type]
