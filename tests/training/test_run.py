"""A whole training run on pictures of projected rigid faces, small enough for the default suite."""

import json
import multiprocessing
import random
import re
import signal
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.data import FaceRecord, read_records, write_records
from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.models import read_about
from pyspiga_geo.training import StageConfig, TrainConfig

pytest.importorskip("lightning")
from pyspiga_geo.training.run import last_checkpoint, moving_average, run_training
from pyspiga_geo.training.stages import BackboneStage, CascadeStage, JointStage, Stage

SIZE = 96


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> TrainConfig:
    """Twenty faces of dots, and a model and stages that take a second each."""
    folder = tmp_path_factory.mktemp("faces")
    layout = get_layout("ibug68")
    rng = np.random.default_rng(0)
    records = []
    for index in range(20):
        pose = torch.tensor([*rng.uniform(-20, 20, 3), 0, 0, 5.0], dtype=torch.float64)
        points = project(torch.tensor(layout.shape3d), pose, camera_matrix(SIZE, dtype=torch.float64)).numpy()
        pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
        x, y = points.round().astype(int).clip(0, SIZE - 1).T
        pixels[y, x] = 255
        Image.fromarray(pixels).save(folder / f"{index}.png")
        low, high = points.min(axis=0), points.max(axis=0)
        box = (*low, *(high - low))
        records.append(FaceRecord(f"{index}.png", box, tuple(layout.ids), points, np.ones(68), None, str(index)))
    write_records(folder / "train.json", records)
    tiny = {
        "image_size": 64, "channels": 16, "num_stacks": 2, "depth": 2,
        "node_channels": 16, "hidden_channels": 16, "num_layers": 1,
    }  # fmt: skip
    once = StageConfig(epochs=1, lr=1e-3)
    return TrainConfig(
        folder / "train.json",
        folder / "run",
        model=tiny,
        batch_size=8,
        workers=0,
        landmarks=once,
        pose=once,
        cascade=once,
        joint=once,
    )


STAGES = ("landmarks", "pose", "cascade", "joint")


def trained(config: TrainConfig) -> dict[str, torch.Tensor]:
    return SPIGA.from_pretrained(run_training(config)).state_dict()


def test_the_stages_give_weights_and_logs_and_are_not_repeated(config, tmp_path):
    run = replace(config, out=tmp_path / "run")
    first = trained(run)
    assert (run.out / "model.safetensors").is_file()
    for stage in STAGES:
        assert (run.out / stage / "csv" / "version_0" / "metrics.csv").read_text().startswith("epoch,loss")
        with Image.open(run.out / stage / "faces" / "epoch_0001.png") as sheet:
            assert min(sheet.size) > 300
    report = (run.out / "report.md").read_text()
    for words in ("| initial |", "| heatmaps |", "| step 3 |", "P90", "AUC_8", "(validation/report.md)"):
        assert words in report
    page = run.out / "validation" / "report.md"
    for words in ("Methods side by side", "| heatmaps ", "Head pose", "Worst faces"):
        assert words in page.read_text()
    for each in (run.out / "report.md", page):
        pictures = re.findall(r"\((.*\.png)\)", each.read_text())
        assert pictures
        assert all((each.parent / picture).is_file() for picture in pictures)
    # The frozen backbone of the third stage is what the second stage left, batch statistics included.
    second = SPIGA.from_pretrained(run.out / "pose" / "model.safetensors").state_dict()
    third = SPIGA.from_pretrained(run.out / "cascade" / "model.safetensors").state_dict()
    for name, value in second.items():
        if name.startswith("backbone."):
            assert torch.equal(third[name], value), name
    assert any(not torch.equal(third[name], second[name]) for name in second if name.startswith("cascade."))
    # The fourth trains all of it.
    fourth = SPIGA.from_pretrained(run.out / "joint" / "model.safetensors").state_dict()
    for part in ("backbone.", "cascade."):
        weights = [name for name in third if name.startswith(part) and name.endswith("weight")]
        assert all(not torch.equal(fourth[name], third[name]) for name in weights)
    stamp = (run.out / "pose" / "model.safetensors").stat().st_mtime_ns
    again = trained(run)
    assert (run.out / "pose" / "model.safetensors").stat().st_mtime_ns == stamp
    assert all(torch.equal(again[name], value) for name, value in first.items())


def test_the_same_seed_trains_the_same_weights(config, tmp_path):
    skip = StageConfig(epochs=0, lr=1e-3)
    first, second, other = (
        trained(replace(config, out=tmp_path / name, seed=seed, pose=skip, cascade=skip, joint=skip))
        for name, seed in (("first", 5), ("second", 5), ("other", 6))
    )
    assert all(torch.equal(second[name], value) for name, value in first.items())
    assert any(not torch.equal(other[name], value) for name, value in first.items())


def test_training_starts_from_weights(config, tmp_path, tiny_model):
    skip = StageConfig(epochs=0, lr=1e-3)
    tiny_model.save(tmp_path / "first.safetensors")
    run = replace(
        config, out=tmp_path / "run", weights=str(tmp_path / "first.safetensors"),
        landmarks=skip, pose=skip, cascade=skip, joint=skip,
    )  # fmt: skip
    for name, value in trained(run).items():
        torch.testing.assert_close(value, tiny_model.state_dict()[name], rtol=1e-3, atol=1e-6, msg=name)


def test_weights_of_another_layout_lend_their_backbone(config, tmp_path, tiny_model, capsys):
    skip = StageConfig(epochs=0, lr=1e-3)
    tiny_model.save(tmp_path / "first.safetensors")
    own = replace(get_layout("ibug68"), name="own", ids=range(201, 269), contours={}, normaliser="lnd_bbox")
    own.save(tmp_path / "own.json")
    records = [replace(face, ids=own.ids) for face in read_records(config.annotations)]
    write_records(config.annotations.with_name("own.json"), records)
    run = replace(
        config, out=tmp_path / "run", weights=str(tmp_path / "first.safetensors"), layout=str(tmp_path / "own.json"),
        annotations=config.annotations.with_name("own.json"), landmarks=skip, pose=skip, cascade=skip, joint=skip,
    )  # fmt: skip
    result = SPIGA.from_pretrained(run_training(run))
    assert "has the layout 'ibug68'" in capsys.readouterr().out
    assert result.layout == own
    before, after = tiny_model.state_dict(), result.state_dict()
    name = next(name for name in after if name.startswith("backbone.") and after[name].dim() == 4)
    torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-6)
    name = next(name for name in after if name.startswith("cascade.") and after[name].dim() == 2)
    assert not torch.allclose(after[name], before[name], rtol=1e-3)


def test_a_run_remembers_what_it_is(config, tmp_path, capsys):
    skip = StageConfig(epochs=0, lr=1e-3)
    run = replace(config, out=tmp_path / "run", landmarks=skip, pose=skip, cascade=skip, joint=skip)
    run_training(run)
    kept = json.loads((run.out / "run.json").read_text())
    assert kept["settings"]["seed"] == 0
    assert kept["versions"]["torch"] == version("torch")
    assert kept["data"]["training"] + kept["data"]["validation"] == 20
    about = read_about(run.out / "model.safetensors")
    assert about["settings"]["annotations"] == config.annotations.name
    assert "out" not in about["settings"]
    assert about["data"] == kept["data"]
    assert about["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", about["commit"])
    run_training(replace(run, workers=1))
    assert "the run is finished" in capsys.readouterr().out
    fewer = config.annotations.with_name("fewer.json")
    write_records(fewer, read_records(config.annotations)[:-1])
    once = StageConfig(epochs=1, lr=2e-3)
    for other, reason in (
        (replace(run, seed=1), "seed was 0, not 1"),
        (replace(run, joint=once), "joint.epochs was 0, not 1; joint.lr was 0.001, not 0.002"),
        (replace(run, model={**run.model, "num_steps": 2}), "model was "),
        (replace(run, annotations=fewer), "the data: .*training was"),
        (replace(run, num_nodes=2), "num_nodes was 1, not 2"),
    ):
        with pytest.raises(ValueError, match=f"run: is of another run, in which .*({reason})"):
            run_training(other)
    run_training(replace(run, seed=1, resume_anyway=True))
    (run.out / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json: cannot be read"):
        run_training(run)


def test_what_cannot_be_trained_is_named(config, tmp_path):
    one = config.annotations.with_name("one.json")
    write_records(one, read_records(config.annotations)[:1])
    with pytest.raises(ValueError, match=r"validation_fraction 0\.1 leaves none of 1 faces to train on"):
        run_training(replace(config, annotations=one, out=tmp_path / "run"))
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match="accelerator 'mps' is not there"):
            run_training(replace(config, accelerator="mps", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_an_unknown_model_key_is_named(config, tmp_path):
    with pytest.raises(ValueError, match="unknown configuration widht"):
        run_training(replace(config, out=tmp_path, model={"widht": 3}))


def test_without_validation_and_with_fewer_faces_than_a_batch(config, tmp_path):
    skip = StageConfig(epochs=0, lr=1e-3)
    run = replace(
        config,
        out=tmp_path / "run",
        validation_fraction=0,
        batch_size=50,
        pose=skip,
        cascade=skip,
        joint=skip,
    )
    before = trained(replace(run, out=tmp_path / "untrained", landmarks=skip))
    assert (tmp_path / "untrained" / "report.md").read_text().startswith("# Training report")
    after = trained(run)
    assert any(not torch.equal(after[name], value) for name, value in before.items())


@pytest.fixture(scope="module")
def untouched(config, tmp_path_factory) -> dict[str, torch.Tensor]:
    """What a run of three epochs a stage comes to that nobody interrupts."""
    return trained(three_epochs(config, tmp_path_factory.mktemp("untouched")))


def three_epochs(config: TrainConfig, out: Path, **changes: int) -> TrainConfig:
    epochs = StageConfig(epochs=3, lr=1e-3)
    skip = StageConfig(epochs=0, lr=1e-3)
    return replace(config, out=out / "run", landmarks=epochs, pose=skip, cascade=epochs, joint=epochs, **changes)


@pytest.mark.parametrize(("workers", "epoch"), [(0, 1), (1, 1), (2, 2)])
def test_an_interrupted_run_goes_on_where_it_was(config, tmp_path, monkeypatch, untouched, workers, epoch):
    run = three_epochs(config, tmp_path, workers=workers)
    handler = signal.getsignal(signal.SIGINT)
    for stage in (BackboneStage, CascadeStage, JointStage):

        def interrupt(stage: Stage) -> None:
            if stage.current_epoch == epoch:
                raise KeyboardInterrupt

        try:
            with monkeypatch.context() as patch:
                patch.setattr(stage, "on_train_epoch_start", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    run_training(run)
        finally:
            signal.signal(signal.SIGINT, handler)  # the engine leaves it switched off
    assert not (run.out / "joint" / "model.safetensors").exists()
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())
    log = (run.out / "cascade" / "csv" / "version_1" / "metrics.csv").read_text()
    assert {line.split(",")[0] for line in log.splitlines()[1:]} == set(map(str, range(epoch, 3)))


def test_an_interrupted_run_in_double_precision_goes_on_where_it_was(config, tmp_path, monkeypatch):
    double = replace(only_landmarks(config, tmp_path / "whole"), precision="64-true")
    whole, run = trained(double), replace(double, out=tmp_path / "run")

    def interrupt(stage: Stage) -> None:
        if stage.current_epoch == 1:
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(BackboneStage, "on_train_epoch_start", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run_training(run)
    finally:
        signal.signal(signal.SIGINT, handler)
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_killed_between_the_last_epoch_and_the_weights(config, tmp_path):
    run = replace(config, out=tmp_path / "run")
    untouched = trained(run)
    for weights in (run.out / "model.safetensors", run.out / "joint" / "model.safetensors"):
        weights.unlink()
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())


def test_a_truncated_checkpoint_falls_back_to_the_one_before(config, tmp_path):
    skip, epochs = StageConfig(epochs=0, lr=1e-3), StageConfig(epochs=3, lr=1e-3)
    run = replace(config, out=tmp_path / "run", landmarks=epochs, pose=skip, cascade=skip, joint=skip)
    untouched = trained(run)
    folder = run.out / "landmarks"
    before, last = sorted(folder.glob("*.ckpt"))
    last.write_bytes(last.read_bytes()[:-100])
    for weights in run.out.rglob("model.safetensors"):
        weights.unlink()
    with pytest.warns(UserWarning, match=f"{last.name}: damaged, going on from the checkpoint before"):
        assert last_checkpoint(folder) == before
    with pytest.warns(UserWarning, match="damaged"):
        resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())


def test_a_loss_that_is_not_finite_names_its_faces_and_leaves_the_last_checkpoint(config, tmp_path, monkeypatch):
    run = only_landmarks(config, tmp_path / "run")
    loss = BackboneStage.loss

    def spoiled(stage: BackboneStage, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return loss(stage, *batch) | ({"pose": torch.tensor(torch.nan)} if stage.current_epoch == 1 else {})

    with monkeypatch.context() as patch:
        patch.setattr(BackboneStage, "loss", spoiled)
        with pytest.raises(ValueError, match=r"not finite in step 2 \(.*pose nan\); the batch was \d+\.png, ") as error:
            run_training(run)
    assert len(re.findall(r"\d+\.png", str(error.value))) == config.batch_size
    kept = last_checkpoint(run.out / "landmarks")
    assert kept is not None
    assert kept.name.startswith("epoch=0-")
    assert all(value.isfinite().all() for value in trained(run).values())


def test_weights_that_are_not_finite_never_become_a_checkpoint(config, tmp_path, monkeypatch):
    run = only_landmarks(config, tmp_path / "run")

    def loss(stage: BackboneStage, *_: torch.Tensor) -> dict[str, torch.Tensor]:
        weight = stage.model.backbone.stacks[0].landmarks.maps.weight
        if stage.current_epoch == 1:
            weight.data[0] = torch.inf
        return {"coordinates": weight[1:].sum()}

    monkeypatch.setattr(BackboneStage, "loss", loss)
    with pytest.raises(ValueError, match=r"backbone\.stacks\.0\.landmarks\.maps\.weight is not finite after epoch 1"):
        run_training(run)
    kept = last_checkpoint(run.out / "landmarks")
    assert kept is not None
    assert kept.name.startswith("epoch=0-")


def only_landmarks(config: TrainConfig, out: Path) -> TrainConfig:
    """Two epochs of the first stage."""
    skip = StageConfig(epochs=0, lr=1e-3)
    return replace(config, out=out, landmarks=StageConfig(2, 1e-3), pose=skip, cascade=skip, joint=skip)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("stage", STAGES)
def test_killed_ten_times_at_random_moments(stage, workers, config, tmp_path):
    epochs = {name: StageConfig(epochs=40 if name == stage else 0, lr=1e-3) for name in STAGES}
    untouched = trained(replace(config, out=tmp_path / "untouched", **epochs))
    run = replace(config, out=tmp_path / "run", workers=workers, **epochs)
    moments = random.Random(stage)
    for _ in range(10):
        process = multiprocessing.get_context("spawn").Process(target=run_training, args=(run,))
        process.start()
        wait_for_the_start_of(run.out / stage, process)
        process.join(moments.uniform(0, 3))
        process.kill()
        process.join()
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())


def wait_for_the_start_of(folder, process) -> None:
    """Until the run has opened another log, so that the kill hits training and not the start of Python."""
    logs = len(list(folder.glob("csv/*")))
    while process.is_alive() and len(list(folder.glob("csv/*"))) == logs:
        time.sleep(0.05)


def test_averages_forget_the_first_weights_soon():
    average, weight = moving_average(0.99), torch.zeros(1, dtype=torch.float64)
    for step in range(60):
        weight = average(weight, torch.ones(1, dtype=torch.float64), step)
    assert weight.item() > 0.999  # a constant decay of 0.99 would have come to 0.45
    assert average(torch.zeros(1), torch.ones(1), 10**6).item() == pytest.approx(0.01)
    count = torch.tensor(7)
    assert average(torch.tensor(3), count, 5) is count


def test_mixed_precision_trains(config, tmp_path):
    weights = run_training(replace(config, out=tmp_path / "run", precision="bf16-mixed"))
    model = SPIGA.from_pretrained(weights)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in model.parameters())
