"""Errors of all faces summed up over batches and processes, whoever sees which face."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

pytest.importorskip("torchmetrics")
from pyspiga_geo.evaluation import head_pose_errors, landmark_errors, landmark_metrics, normaliser
from pyspiga_geo.evaluation.torch_metrics import HeadPoseError, LandmarkError

NAMES = ("nme", "nme_p90", "nme_p95", "nme_p99", "auc", "fr")
IDS = (7, 12, 1, 2)
FACES = 13


def data() -> dict[str, Tensor]:
    """Thirteen faces of four landmarks, some not annotated, one pose unknown; single precision as models have."""
    generator = torch.Generator().manual_seed(0)
    target = 100 * torch.rand(FACES, 4, 2, generator=generator)
    preds = target + torch.randn(FACES, 4, 2, generator=generator)
    target[::4, 3] = torch.nan
    pose = 30 * torch.randn(FACES, 6, generator=generator)
    true_pose = pose + torch.randn(FACES, 6, generator=generator)
    true_pose[5] = torch.nan
    return {"preds": preds, "target": target, "pose": pose, "true_pose": true_pose}


def figures(batches: list[list[int]]) -> dict[str, float]:
    """What the metrics say of faces that come in these batches."""
    faces, landmarks, pose = data(), LandmarkError(IDS), HeadPoseError()
    for batch in batches:
        index = torch.tensor(batch)
        landmarks.update(faces["preds"][index], faces["target"][index], index)
        pose.update(faces["pose"][index], faces["true_pose"][index], index)
    return {name: value.item() for name, value in (landmarks.compute() | pose.compute()).items()}


def expected() -> dict[str, float]:
    """What the functions say of all faces at once."""
    faces = {name: value.double().numpy() for name, value in data().items()}
    errors = landmark_errors(faces["preds"], faces["target"], normaliser(faces["target"], IDS, "inter_ocular"))
    metrics = landmark_metrics(errors, IDS)
    return {name: getattr(metrics, name) for name in NAMES} | head_pose_errors(faces["pose"], faces["true_pose"])


def test_batches_in_any_order_and_with_repeated_faces() -> None:
    order = np.random.default_rng(0).permutation(FACES).tolist()
    assert figures([list(range(FACES))]) == expected()
    assert figures([order[:5], order[5:6], order[6:]]) == expected()
    assert figures([order[:5], order[3:9], order[9:] + order[:2]]) == expected()


def _share(rank: int, folder: str, shares: dict[str, list[list[list[int]]]]) -> None:
    torch.set_num_threads(1)  # others do not survive a fork
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {name: figures(share[rank]) for name, share in shares.items()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_come_to_the_figures_of_one(tmp_path: Path) -> None:
    """Odd numbers of faces, other orders and batches, faces that a sampler repeats, a process without faces."""
    order = np.random.default_rng(1).permutation(FACES).tolist()
    shares = {
        "uneven": [[order[:5], order[5:7]], [order[7:]]],
        "padded": [[order[0::2]], [order[1::2], order[:1]]],
        "alone": [[order], []],
    }
    start = "fork" if sys.platform == "linux" else "spawn"  # the first imports nothing again
    torch.multiprocessing.start_processes(_share, (str(tmp_path), shares), nprocs=2, start_method=start)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found == {name: expected() for name in shares}


def test_figures_of_single_landmarks() -> None:
    faces, metric = data(), LandmarkError(IDS, norm="bbox", threshold=5, divisor=4)
    boxes = torch.tensor([0, 0, 40.0, 10.0]).expand(FACES, 4)
    metric.update(faces["preds"], faces["target"], torch.arange(FACES), boxes)
    metrics = metric.metrics()
    distance = (faces["preds"] - faces["target"]).double().norm(dim=2).numpy()
    assert metrics.per_landmark[2] == pytest.approx(100 * np.nanmean(distance[:, 3]) / 20, rel=1e-6)
    assert metrics.nme == pytest.approx(100 * np.nansum(distance) / 20 / 4 / FACES, rel=1e-6)
    assert (metrics.threshold, metrics.unannotated) == (5, 4)
    metric.reset()
    metric.update(faces["preds"][:1], faces["target"][:1], torch.tensor([0]), boxes[:1])
    assert metric.metrics().faces == 1


def test_faces_that_nearly_agree_are_not_one_face() -> None:
    metric, truth = LandmarkError((7, 12)), torch.tensor([[[0.0, 0.0], [100.0, 0.0]]])
    metric.update(truth + 3, truth, torch.tensor([0]))
    metric.update(truth + 3.001, truth, torch.tensor([0]))  # rounding
    assert metric.metrics().faces == 1
    metric.update(truth + 3.1, truth, torch.tensor([0]))
    with pytest.raises(ValueError, match="face 0 was seen twice with different errors"):
        metric.metrics()


def test_what_cannot_be_counted_is_named() -> None:
    faces, metric, pose = data(), LandmarkError(IDS), HeadPoseError()
    metric.update(faces["preds"][:2], faces["target"][:2], torch.tensor([4, 5]))
    metric.update(faces["preds"][2:3], faces["target"][2:3], torch.tensor([5]))
    with pytest.raises(ValueError, match="face 5 was seen twice with different errors"):
        metric.compute()
    with pytest.raises(ValueError, match="face 9: its points do not define the normaliser 'inter_ocular'"):
        metric.update(torch.zeros(1, 4, 2), torch.zeros(1, 4, 2), torch.tensor([9]))
    with pytest.raises(ValueError, match="face 9: has a true head pose but no predicted one"):
        pose.update(torch.full((1, 6), torch.nan), torch.zeros(1, 6), torch.tensor([9]))


def test_whole_numbers_and_half_precision_are_counted_in_double() -> None:
    metric = HeadPoseError().half()
    metric.update(torch.tensor([[0.1, 0, 0]]).half(), torch.zeros(1, 3), torch.tensor([2_000_000_001]))
    metric.update(torch.tensor([[0.2, 0, 0]]).half(), torch.zeros(1, 3), torch.tensor([2_000_000_002]))
    yaw = metric.compute()["yaw"]
    assert yaw.dtype == torch.float64
    assert yaw.item() == torch.tensor([0.1, 0.2]).half().double().mean().item()


def test_landmarks_without_eye_corners_are_measured_by_their_box() -> None:
    metric = LandmarkError(ids=(201, 202))
    metric.update(torch.tensor([[[0.0, 3], [9, 4]]]), torch.tensor([[[0.0, 0], [9, 4]]]), torch.tensor([0]))
    assert metric.metrics().norm == "lnd_bbox"
    assert metric.compute()["nme"].item() == pytest.approx(100 * 3 / 6 / 2)
    metric = LandmarkError(ids=(201, 202), norm=(201, 202))
    metric.update(torch.tensor([[[0.0, 3], [8, 0]]]), torch.tensor([[[0.0, 0], [8, 0]]]), torch.tensor([0]))
    assert metric.compute()["nme"].item() == pytest.approx(100 * 3 / 8 / 2)
