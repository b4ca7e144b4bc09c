import math

import torch

from pyspiga_geo import Layout, get_layout
from pyspiga_geo.geometry import camera_matrix, project
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
