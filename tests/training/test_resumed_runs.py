"""Runs that are interrupted, killed or go wrong go on where they were, to the bit."""

import multiprocessing
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pyspiga_geo import SPIGA
from pyspiga_geo.training import StageConfig, TrainConfig

pytest.importorskip("lightning")
from pyspiga_geo.training.run import last_checkpoint, run_training
from pyspiga_geo.training.stage import Stage
from pyspiga_geo.training.stages import BackboneStage, CascadeStage, JointStage

pytestmark = pytest.mark.usefixtures("undrawn")

STAGES = ("landmarks", "pose", "cascade", "joint")


def trained(config: TrainConfig) -> dict[str, torch.Tensor]:
    return SPIGA.from_pretrained(run_training(config)).state_dict()


@pytest.fixture(scope="module")
def whole_run(config, undrawn, tmp_path_factory) -> TrainConfig:
    """A run of two stages, two epochs each, that nobody interrupted."""
    run = two_epochs(config, tmp_path_factory.mktemp("untouched"))
    run_training(run)
    return run


@pytest.fixture(scope="module")
def untouched(whole_run) -> dict[str, torch.Tensor]:
    """What it came to."""
    return SPIGA.from_pretrained(whole_run.out / "model.safetensors").state_dict()


@pytest.fixture
def copied(config, whole_run, tmp_path) -> TrainConfig:
    """The same run in another folder, to be damaged."""
    shutil.copytree(whole_run.out, tmp_path / "run")
    return two_epochs(config, tmp_path)


def two_epochs(
    config: TrainConfig, out: Path, stages: Sequence[str] = ("landmarks", "joint"), **changes
) -> TrainConfig:
    epochs = {name: StageConfig(epochs=2 if name in stages else 0, lr=1e-3) for name in STAGES}
    return replace(config, out=out / "run", **epochs, **changes)


def interrupted(run: TrainConfig, stages: Sequence[type[Stage]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a run as often as stages are interrupted, in their second epoch."""

    def interrupt(stage: Stage) -> None:
        if stage.current_epoch == 1:
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    for stage in stages:
        try:
            with monkeypatch.context() as patch:
                patch.setattr(stage, "on_train_epoch_start", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    run_training(run)
        finally:
            signal.signal(signal.SIGINT, handler)  # the engine leaves it switched off


def test_an_interrupted_stage_goes_on_where_it_was(config, tmp_path, monkeypatch, whole_run):
    run = two_epochs(config, tmp_path, ["landmarks"], workers=1)
    interrupted(run, [BackboneStage], monkeypatch)
    assert not (run.out / "landmarks" / "model.safetensors").exists()
    run_training(run)
    resumed, whole = (
        SPIGA.from_pretrained(each.out / "landmarks" / "model.safetensors").state_dict() for each in (run, whole_run)
    )
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    log = (run.out / "landmarks" / "csv" / "version_1" / "metrics.csv").read_text()
    assert {line.split(",")[0] for line in log.splitlines()[1:]} == {"1"}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_interrupted_run_goes_on_where_it_was(config, tmp_path, monkeypatch, workers):
    stages = ("landmarks", "cascade", "joint")
    untouched = trained(two_epochs(config, tmp_path / "untouched", stages))
    run = two_epochs(config, tmp_path, stages, workers=workers)
    interrupted(run, (BackboneStage, CascadeStage, JointStage), monkeypatch)
    assert not (run.out / "joint" / "model.safetensors").exists()
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())
    log = (run.out / "cascade" / "csv" / "version_1" / "metrics.csv").read_text()
    assert {line.split(",")[0] for line in log.splitlines()[1:]} == {"1"}


@pytest.mark.slow
def test_an_interrupted_run_in_double_precision_goes_on_where_it_was(config, tmp_path, monkeypatch):
    double = replace(only_landmarks(config, tmp_path / "whole"), precision="64-true")
    whole, run = trained(double), replace(double, out=tmp_path / "run")
    interrupted(run, [BackboneStage], monkeypatch)
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_killed_between_the_last_epoch_and_the_weights(copied, untouched):
    for weights in (copied.out / "model.safetensors", copied.out / "joint" / "model.safetensors"):
        weights.unlink()
    resumed = trained(copied)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())


def test_a_truncated_checkpoint_falls_back_to_the_one_before(copied, untouched):
    folder = copied.out / "joint"
    before, last = sorted(folder.glob("*.ckpt"))
    last.write_bytes(last.read_bytes()[:-100])
    for weights in (copied.out / "model.safetensors", folder / "model.safetensors"):
        weights.unlink()
    with pytest.warns(UserWarning, match=f"{last.name}: damaged, going on from the checkpoint before"):
        assert last_checkpoint(folder) == before
    with pytest.warns(UserWarning, match="damaged"):
        resumed = trained(copied)
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
    moments, others = random.Random(stage), orphans()
    for _ in range(10):
        process = multiprocessing.get_context("spawn").Process(target=run_training, args=(run,))
        process.start()
        wait_for_the_start_of(run.out / stage, process)
        process.join(moments.uniform(0, 3))
        process.kill()
        process.join()
    resumed = trained(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())
    end = time.monotonic() + 60  # loader processes look every few seconds whether their run is alive
    while orphans() - others and time.monotonic() < end:
        time.sleep(1)
    assert not orphans() - others


def orphans() -> set[Path]:
    """Processes of this group whose parent has died, where the system tells."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, parent, group, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if (int(parent), int(group)) == (1, os.getpgrp()):
            found.add(path)
    return found


def wait_for_the_start_of(folder, process) -> None:
    """Until the run has opened another log, so that the kill hits training and not the start of Python."""
    logs = len(list(folder.glob("csv/*")))
    while process.is_alive() and len(list(folder.glob("csv/*"))) == logs:
        time.sleep(0.05)
