"""Two processes on the CPU against one that has the faces of both in its batch."""

import csv
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pyspiga_geo.cli import main

pytest.importorskip("lightning")
from pyspiga_geo.training.batch_norm import BatchNormSync
from pyspiga_geo.training.distributed import gather_rows, sum_over_processes
from pyspiga_geo.training.losses import masked_mean


def in_two_processes(work, folder: Path) -> list:
    """What ``work`` returns in each of two processes that train together."""
    other = torch.multiprocessing.get_context("spawn").Process(target=_worker, args=(1, work, folder))
    other.start()
    try:
        _worker(0, work, folder)  # this one is the first
    finally:
        other.join()
    assert other.exitcode == 0
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def _worker(rank: int, work, folder: Path) -> None:
    waits = timedelta(seconds=120)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=waits)
    try:
        torch.save(work(rank), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


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


def train_a_share(rank: int) -> tuple[Tensor, dict[str, Tensor]]:
    model = BatchNormSync().apply(network())
    images, mask = batch()
    loss, state = loss_and_state(model, images[rank::2], mask[rank::2])
    rows = gather_rows({"mask": mask[rank::2], "first": images[rank::2, 0]})
    assert torch.equal(rows["mask"], mask)
    assert torch.equal(rows["first"], images[:, 0])
    return loss, state


def test_batch_norm_and_masked_means_are_those_of_the_whole_batch(tmp_path):
    (loss0, state0), (loss1, state1) = in_two_processes(train_a_share, tmp_path)
    loss, state = loss_and_state(network(), *batch())
    torch.testing.assert_close((loss0 + loss1) / 2, loss, rtol=1e-12, atol=1e-12)
    assert state.keys() == state0.keys()
    for name, value in state.items():
        mean = (state0[name] + state1[name]) / 2  # as the engine takes it of the gradients
        torch.testing.assert_close(mean.to(value), value, rtol=1e-10, atol=1e-12, msg=name)
        if not name.startswith("gradient"):
            assert torch.equal(state0[name], state1[name]), name


def test_one_process_sums_and_gathers_nothing():
    value = torch.rand(3)
    assert sum_over_processes(value) is value
    rows = {"a": value}
    assert gather_rows(rows) is rows


# Both processes run this; none draws pictures.
SCRIPT = """
from pyspiga_geo.cli import main
from pyspiga_geo.training import run, stages
run.write_report = stages.Stage._show = lambda *_: None
main()
"""

TINY = {
    "model": "{image_size: 32, channels: 8, num_stacks: 2, depth: 1, node_channels: 8, hidden_channels: 8, heads: 2}",
    "annotations": "synthetic",
    "synthetic_faces": "29",  # 26 to train on and three to validate on
    "accelerator": "cpu",
    "precision": "64-true",
    "workers": "0",
}


def train(folder: Path, devices: int, batch_size: int, epochs: dict[str, int]) -> dict[str, list[dict]]:
    """Logs of the stages of a run by the command line."""
    script = folder.with_suffix(".py")
    script.write_text(SCRIPT)
    options = TINY | {"out": str(folder), "devices": str(devices), "batch_size": str(batch_size)}
    options |= {f"{stage}.epochs": str(epochs.get(stage, 0)) for stage in STAGES}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    if devices == 1:
        main(["train", *arguments])
    else:
        subprocess.run(
            [sys.executable, script, "train", *arguments],
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=500,
        )
    logs = {}
    for stage in epochs:
        with (folder / stage / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
            logs[stage] = list(csv.DictReader(file))
    return logs


STAGES = ("landmarks", "pose", "cascade", "joint", "uncertainty")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_two_processes_train_as_one_with_the_doubled_batch(tmp_path):
    epochs = dict.fromkeys(STAGES, 2)
    one = train(tmp_path / "one", 1, 8, epochs)
    two = train(tmp_path / "two", 2, 4, epochs)
    for stage in epochs:
        assert len(one[stage]) == len(two[stage])
        assert len(one[stage]) == 4 * epochs[stage]  # three steps and a validation each epoch
        for row, other in zip(one[stage], two[stage], strict=True):
            assert row.keys() == other.keys()
            for name, value in row.items():
                assert bool(value) == bool(other[name])
                if value:
                    assert float(other[name]) == pytest.approx(float(value), rel=1e-4), (stage, name)
