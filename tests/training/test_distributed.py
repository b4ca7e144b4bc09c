"""Two processes on the CPU against one that has the faces of both in its batch."""

import copy
import csv
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pyspiga_geo import SPIGA

pytest.importorskip("lightning")
from pyspiga_geo.training.batch_norm import BatchNormSync
from pyspiga_geo.training.distributed import sum_over_processes
from pyspiga_geo.training.losses import masked_mean
from pyspiga_geo.training.run import last_checkpoint


def in_two_ranks(work, monkeypatch: pytest.MonkeyPatch) -> list:
    """What ``work`` returns in each of two threads that sum over both, through Gloo, as two processes would."""
    store, own = dist.HashStore(), threading.local()

    def rank(number: int):
        own.group = dist.ProcessGroupGloo(store, number, 2, timedelta(seconds=120))
        return work(number)

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: own.group.size())
    monkeypatch.setattr(dist, "get_backend", lambda: "gloo")
    monkeypatch.setattr(dist, "all_reduce", lambda value: own.group.allreduce([value]).wait())
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(rank, range(2)))
    monkeypatch.undo()
    return found


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5)]
    return nn.Sequential(*layers).double()


def batch() -> tuple[Tensor, Tensor]:
    """Seven pictures, five numbers each, and which of them count."""
    generator = torch.Generator().manual_seed(1)
    images = 3 + 2 * torch.randn(7, 3, 5, 5, dtype=torch.float64, generator=generator)
    return images, torch.rand(7, 5, generator=generator) < 0.6


def loss_and_state(model: nn.Module, images: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    loss = masked_mean(model(images).square() + model(images), mask)
    loss.backward()
    gradients = {f"gradient of {name}": value.grad for name, value in model.named_parameters()}
    return loss.detach(), {**model.state_dict(), **gradients}


def test_batch_norm_and_masked_means_are_those_of_the_whole_batch(monkeypatch):
    model, (images, mask) = network(), batch()

    def train_a_share(rank: int) -> tuple[Tensor, dict[str, Tensor]]:
        return loss_and_state(BatchNormSync().apply(copy.deepcopy(model)), images[rank::2], mask[rank::2])

    (loss0, state0), (loss1, state1) = in_two_ranks(train_a_share, monkeypatch)
    loss, state = loss_and_state(model, images, mask)
    torch.testing.assert_close((loss0 + loss1) / 2, loss, rtol=1e-12, atol=1e-12)
    assert state.keys() == state0.keys()
    for name, value in state.items():
        mean = (state0[name] + state1[name]) / 2  # as the engine takes it of the gradients
        torch.testing.assert_close(mean.to(value), value, rtol=1e-10, atol=1e-12, msg=name)
        if not name.startswith("gradient"):
            assert torch.equal(state0[name], state1[name]), name


def test_one_process_sums_nothing():
    value = torch.rand(3)
    assert sum_over_processes(value) is value


# Both processes run this; none draws pictures.
SCRIPT = """
from pyspiga_geo.cli import main
from pyspiga_geo.training import run, stage
run.write_report = stage.Stage._show = lambda *_: None
main()
"""

TINY = {
    "model": "{image_size: 32, channels: 8, num_stacks: 2, depth: 1, node_channels: 8, hidden_channels: 8, heads: 2}",
    "annotations": "synthetic",
    "accelerator": "cpu",
    "precision": "64-true",
    "workers": "0",
}


def start(folder: Path, devices: int, batch_size: int, epochs: dict[str, int], **more: object) -> subprocess.Popen:
    """A run by the command line, in a group of processes of its own."""
    script = folder.with_suffix(".py")
    script.write_text(SCRIPT)
    options = {**TINY, "out": folder, "devices": devices, "batch_size": batch_size, **more}
    options |= {f"{stage}.epochs": epochs.get(stage, 0) for stage in STAGES}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen(
        [sys.executable, script, "train", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    """Wait for a run, and end all its processes where it hangs."""
    try:
        _, errors = process.communicate(timeout=500)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, errors


def train(folder: Path, devices: int, batch_size: int, epochs: dict[str, int], **more: object) -> dict[str, list[dict]]:
    """Logs of the stages of a run by the command line."""
    finish(start(folder, devices, batch_size, epochs, **more))
    logs = {}
    for stage in epochs:
        with (folder / stage / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
            logs[stage] = list(csv.DictReader(file))
    return logs


STAGES = ("landmarks", "pose", "cascade", "joint", "uncertainty")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faces", "steps", "epochs"),
    [(17, 2, {"joint": 1}), (47, 5, {**dict.fromkeys(STAGES, 1), "landmarks": 2, "pose": 2})],
    ids=["one face to validate on", "all stages"],
)
def test_two_processes_train_as_one_with_the_doubled_batch(faces, steps, epochs, tmp_path):
    """Of 17 faces one is kept out, so that a process has none to validate on; of 47 five.

    Once the untrained cascade moves, differences of rounding double with each update: it is compared for one epoch.
    """
    few = {"synthetic_faces": faces, "validation_fraction": 0.1 if faces > 20 else 0.06}
    one = train(tmp_path / "one", 1, 8, epochs, **few)
    two = train(tmp_path / "two", 2, 4, epochs, **few)
    for stage in epochs:
        assert len(one[stage]) == len(two[stage])
        assert len(one[stage]) == (steps + 1) * epochs[stage]  # and a validation each epoch
        for row, other in zip(one[stage], two[stage], strict=True):
            assert row.keys() == other.keys()
            for name, value in row.items():
                assert bool(value) == bool(other[name])
                if value:
                    assert float(other[name]) == pytest.approx(float(value), rel=1e-5), (stage, name)


SHORT = {"devices": 2, "batch_size": 4, "epochs": {"joint": 3}, "synthetic_faces": 20}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What a run of two processes comes to that nobody kills."""
    folder = tmp_path_factory.mktemp("runs") / "untouched"
    finish(start(folder, **SHORT, workers=0))
    return weights_of(folder)


def weights_of(run: Path) -> dict[str, Tensor]:
    """In the precision in which they were trained."""
    return SPIGA.from_pretrained(run / "joint" / "model.safetensors").state_dict()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_of_two_processes_that_was_killed_goes_on_where_it_was(workers, untouched, tmp_path):
    run = tmp_path / "run"
    process = start(run, **SHORT, workers=workers)
    while last_checkpoint(run / "joint") is None:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "joint" / "model.safetensors").exists()
    finish(start(run, **SHORT, workers=workers))
    with (run / "joint" / "csv" / "version_1" / "metrics.csv").open(newline="") as file:
        assert {row["epoch"] for row in csv.DictReader(file)} <= {"1", "2"}
    resumed = weights_of(run)
    assert all(torch.equal(resumed[name], value) for name, value in untouched.items())
