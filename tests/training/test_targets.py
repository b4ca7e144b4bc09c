import math
from dataclasses import replace

import pytest
import torch

from pyspiga_geo import Layout, get_layout
from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.training.losses import heatmap_loss, pose_loss
from pyspiga_geo.training.targets import boundary_heatmaps, boundary_mask, point_heatmaps, pose_targets

LAYOUT = Layout("corner", ids=(1, 2, 3, 4), flip=(0, 1, 2, 3), contours={"bend": (0, 1, 2), "line": (2, 3)})


def test_a_point_heatmap_is_a_gaussian_around_the_landmark():
    maps = point_heatmaps(torch.tensor([[[5 / 16, 9 / 16]]]), 16, sigma=1.5)
    assert maps.shape == (1, 1, 16, 16)
    assert maps[0, 0, 9, 5] == 1
    assert torch.allclose(maps[0, 0, 9, 7], torch.tensor(math.exp(-4 / (2 * 1.5**2))))
    assert torch.allclose(maps[0, 0, 10, 6], torch.tensor(math.exp(-2 / (2 * 1.5**2))), atol=1e-6)


def test_a_boundary_heatmap_is_a_ridge_along_the_polyline():
    pos = torch.tensor([[[2.0, 2], [10, 2], [10, 12], [4, 12]]]) / 16
    bend, line = boundary_heatmaps(pos, LAYOUT, 16, sigma=1.0)[0]
    assert bend[2, 6] == 1
    assert bend[7, 10] == 1
    assert torch.allclose(bend[4, 6], torch.tensor(math.exp(-2)))  # two pixels off the first segment
    assert torch.allclose(bend[2, 1], torch.tensor(math.exp(-0.5)))  # one pixel before its end
    assert line[12, 7] == 1
    assert line[2, 6] < 1e-6


def test_a_boundary_with_a_missing_landmark_is_masked():
    mask = torch.tensor([[True, True, False, True], [True] * 4])
    assert boundary_mask(mask, LAYOUT).tolist() == [[False, False], [True, True]]


def test_the_pose_of_a_projected_face_is_found_again():
    layout = get_layout("ibug68")
    pose = torch.tensor([[20.0, -10, 5, 0.1, -0.2, 4.0], [-35.0, 5, -15, 0, 0, 5.0]], dtype=torch.float64)
    shape3d = torch.tensor(layout.shape3d)
    pos = project(shape3d, pose, camera_matrix(1, 1.5, dtype=torch.float64))
    found = pose_targets(pos, torch.ones(2, 68, dtype=torch.bool), layout, focal_ratio=1.5)
    assert torch.allclose(found[:, :3], pose[:, :3], atol=0.2)
    assert torch.allclose(found[:, 3:], pose[:, 3:], atol=0.02)


def test_a_face_with_hardly_a_landmark_has_no_pose():
    layout = get_layout("ibug68")
    mask = torch.zeros(1, 68, dtype=torch.bool)
    mask[0, :3] = True
    assert pose_targets(torch.rand(1, 68, 2), mask, layout, 1.5).isnan().all()


def test_without_boundaries_their_targets_are_empty_and_their_loss_is_nothing():
    layout = Layout("points", ids=(201, 202, 203))
    pos, mask = torch.rand(2, 3, 2), torch.ones(2, 3, dtype=torch.bool)
    maps, whole = boundary_heatmaps(pos, layout, 16, sigma=1.0), boundary_mask(mask, layout)
    assert (maps.shape, maps.dtype, whole.shape, whole.dtype) == (
        (2, 0, 16, 16),
        pos.dtype,
        (2, 0),
        torch.bool,
    )
    predicted = torch.rand(2, 0, 16, 16, requires_grad=True)
    loss = heatmap_loss(predicted, maps, whole)
    assert loss.item() == 0
    loss.backward()
    assert predicted.grad is not None


@pytest.mark.parametrize(
    "layout",
    [
        replace(get_layout("ibug68"), shape3d=None),
        replace(get_layout("ibug68"), shape3d=get_layout("ibug68").shape3d * [0, 1, 1]),
        Layout("three", ids=(201, 202, 203), shape3d=torch.eye(3).numpy()),
    ],
    ids=["no rigid shape", "flat", "three points"],
)
def test_layouts_that_tell_no_pose_have_none_as_target(layout):
    pos, mask = torch.rand(2, len(layout), 2), torch.ones(2, len(layout), dtype=torch.bool)
    target = pose_targets(pos, mask, layout, 1.5)
    assert (target.shape, target.dtype) == ((2, 6), pos.dtype)
    assert target.isnan().all()
    assert pose_loss(torch.rand(2, 6), target).item() == 0
