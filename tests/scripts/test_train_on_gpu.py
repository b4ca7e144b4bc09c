"""The program that trains on a GPU computes what the package computes."""

import pytest
import torch
import train_on_gpu
from torch.optim.lr_scheduler import OneCycleLR

from pyspiga_geo.layouts import IBUG68
from pyspiga_geo.training import stages, targets


def test_its_targets_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("boundary_heatmaps", "boundary_mask", "pose_targets"):
        monkeypatch.setattr(stages, name, getattr(stages, name))  # put back after the test
    pos, mask = torch.rand(3, 68, 2, dtype=torch.float64), torch.rand(3, 68) < 0.9
    train_on_gpu.GraphTargets(IBUG68, "cpu")
    recorded = stages.boundary_heatmaps(pos, IBUG68, 16, 1.5), stages.boundary_mask(mask, IBUG68)
    expected = targets.boundary_heatmaps(pos, IBUG68, 16, 1.5), targets.boundary_mask(mask, IBUG68)
    assert stages.boundary_heatmaps != targets.boundary_heatmaps
    for one, other in zip(recorded, expected, strict=True):
        assert torch.equal(one, other)


def test_its_learning_rate_is_that_of_the_package() -> None:
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], 2e-3)
    schedule = OneCycleLR(optimizer, 2e-3, total_steps=1001, pct_start=0.05)
    for step in range(1001):
        group = optimizer.param_groups[0]
        # The schedule of PyTorch reaches its peak one step before 5 % of the steps.
        share = step / 49.05 * 0.05 if step < 49.05 else 0.05 + 0.95 * (step - 49.05) / (1000 - 49.05)
        rate, momentum = train_on_gpu.cycle(2e-3, share)
        assert rate == pytest.approx(group["lr"], rel=1e-6, abs=1e-12)
        assert momentum == pytest.approx(group["betas"][0], rel=1e-6)
        if step < 1000:
            optimizer.step()
            schedule.step()
