import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pyspiga_geo.geometry import (
    camera_matrix,
    euler_to_rotation,
    pose_from_points,
    project,
    square_crop,
    transform_points,
)
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout

CAMERA = camera_matrix(256, dtype=torch.float64)


def robust_shape(layout: Layout = IBUG68) -> Tensor:
    return torch.tensor(layout.shape3d[layout.robust_rows])


def some_poses(count: int) -> Tensor:
    """Heads turned by up to 60, 30, 40 degrees, off the centre, near and far."""
    poses = torch.empty(count, 6, dtype=torch.float64)
    poses[:, :3] = (2 * torch.rand(count, 3) - 1).double() * torch.tensor([60, 30, 40])
    poses[:, 3:5].uniform_(-0.3, 0.3)
    poses[:, 5].uniform_(2.5, 5)
    return poses


@pytest.mark.parametrize("rounded", [True, False])
def test_labels_of_the_reference(shared: Path, rounded: bool) -> None:
    faces = json.loads((shared / "evaluation" / "300wprivate" / "annotations.json").read_text())
    boxes, landmarks, labels = (
        torch.tensor([face[key] for face in faces], dtype=torch.float64) for key in ("bbox", "landmarks", "headpose")
    )
    points = transform_points(landmarks, square_crop(boxes, 256))[:, IBUG68.robust_rows]
    points = points.round() if rounded else points
    error = (pose_from_points(points, robust_shape(), CAMERA) - labels).abs()
    if rounded:  # the labels are made from whole pixels
        assert error.max() <= 1e-6
    else:
        assert (error[:, :3].mean(dim=0) <= 0.3).all()


@pytest.mark.parametrize("layout", [IBUG68, WFLW98], ids=lambda layout: layout.name)
def test_known_poses_are_found(layout: Layout) -> None:
    shape3d, poses = robust_shape(layout), some_poses(200)
    found = pose_from_points(project(shape3d, poses, CAMERA), shape3d, CAMERA)
    error = (found - poses).abs()
    assert error[:, :3].max() < 0.1  # degrees: it stops when the points move by less than 0.1 pixel
    assert error[:, 3:5].max() < 1e-3
    assert error[:, 5].max() < 0.01


def test_single_precision_is_close() -> None:
    shape3d, poses = robust_shape(), some_poses(20)
    points = project(shape3d, poses, CAMERA)
    found = pose_from_points(points.float(), shape3d.float(), CAMERA.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), pose_from_points(points, shape3d, CAMERA), rtol=0, atol=0.05)


def test_batch_equals_one_by_one() -> None:
    # Faces near the camera need more rounds than far ones: each must stop at its own.
    shape3d, poses = robust_shape(), some_poses(12)
    poses[:, 5] = torch.linspace(1.6, 20, 12)
    points = project(shape3d, poses, CAMERA) + torch.randn(12, len(shape3d), 2)
    together = pose_from_points(points, shape3d, CAMERA)
    alone = torch.stack([pose_from_points(each, shape3d, CAMERA) for each in points])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)
    reshaped = pose_from_points(points.unflatten(0, (3, 4)), shape3d, CAMERA)
    torch.testing.assert_close(reshaped, together.unflatten(0, (3, 4)), rtol=0, atol=0)


def test_mask_equals_the_subset() -> None:
    shape3d, poses = robust_shape(), some_poses(6)
    points = project(shape3d, poses, CAMERA) + torch.randn(6, len(shape3d), 2)
    mask = torch.rand(6, len(shape3d)) < 0.7
    mask[:, :6] = True  # enough, and not in one plane
    unannotated = points.masked_fill(~mask[..., None], torch.nan)  # what is left out is not looked at
    found = pose_from_points(unannotated, shape3d, CAMERA, mask=mask)
    for row in range(6):
        alone = pose_from_points(points[row, mask[row]], shape3d[mask[row]], CAMERA)
        torch.testing.assert_close(found[row], alone, rtol=0, atol=1e-8)
    assert (found - pose_from_points(points, shape3d, CAMERA)).abs().max() > 0.01  # the mask does something


def test_fewer_than_four_points_have_no_pose() -> None:
    shape3d, poses = robust_shape(), some_poses(4)
    points = project(shape3d, poses, CAMERA)
    mask = torch.ones(4, len(shape3d), dtype=torch.bool)
    mask[1, 3:] = False
    mask[2] = False
    found = pose_from_points(points, shape3d, CAMERA, mask=mask)
    assert found[[1, 2]].isnan().all()
    torch.testing.assert_close(found[[0, 3]], pose_from_points(points[[0, 3]], shape3d, CAMERA))


def test_missing_points_without_a_mask_spoil_only_their_face() -> None:
    shape3d, poses = robust_shape(), some_poses(3)
    points = project(shape3d, poses, CAMERA)
    whole = pose_from_points(points, shape3d, CAMERA)
    points[1, 4] = torch.nan
    found = pose_from_points(points, shape3d, CAMERA)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[[0, 2]], whole[[0, 2]])


def test_rounds_are_bounded() -> None:
    shape3d = robust_shape()
    poses = torch.tensor([[40.0, 10, 5, 0.2, 0.1, 2.0]], dtype=torch.float64)
    points = project(shape3d, poses, CAMERA)
    error = [
        (pose_from_points(points, shape3d, CAMERA, max_iterations=rounds) - poses).abs().max() for rounds in (1, 3, 100)
    ]
    assert error[0] > error[1] > error[2]  # the perspective correction does its work round by round


def test_it_stops_when_the_points_move_by_less_than_a_tenth_of_a_pixel() -> None:
    shape3d, poses = robust_shape(), some_poses(4)
    poses[3, 3:] = torch.tensor([0.0, 0, 2000])  # so far away that the first round moves them by less
    for points in project(shape3d, poses, CAMERA):
        rounds = [pose_from_points(points, shape3d, CAMERA, max_iterations=count) for count in range(1, 12)]
        assert not torch.equal(rounds[0], rounds[1])  # there are two at least
        # What moves are the points as they would be seen if all were as far away as the origin of the shape.
        depths = [shape3d @ euler_to_rotation(pose[:3])[2] / pose[5] for pose in rounds]
        scaled = [points - 128, *((points - 128) * (1 + depth)[:, None] for depth in depths)]
        moved = [(after - before).norm() for before, after in pairwise(scaled)]
        last = next(index for index, distance in enumerate(moved) if index > 0 and distance < 0.1)
        torch.testing.assert_close(pose_from_points(points, shape3d, CAMERA), rounds[last], rtol=0, atol=0)


def test_four_points_are_enough_for_any_camera() -> None:
    shape3d = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    pose = torch.tensor([20.0, -10, 5, 0.3, -0.2, 8], dtype=torch.float64)
    camera = torch.tensor([[500.0, 0, 100], [0, 500, 140], [0, 0, 1]], dtype=torch.float64)
    found = pose_from_points(project(shape3d, pose, camera), shape3d, camera)
    torch.testing.assert_close(found, pose, rtol=0, atol=0.1)


def test_no_faces() -> None:
    shape3d = robust_shape()
    empty = torch.zeros(0, len(shape3d), 2, dtype=torch.float64)
    assert pose_from_points(empty, shape3d, CAMERA).shape == (0, 6)


@pytest.mark.parametrize(
    ("points", "shape3d"),
    [
        ((2, 7, 2), (8, 3)),
        ((2, 9, 2), (8, 3)),
        ((8, 3), (8, 3)),
        ((8, 1), (8, 3)),
        ((8, 2), (8, 2)),
        ((8, 2), (8, 4)),
        ((3, 2), (3,)),
    ],
)
def test_shapes_that_do_not_fit(points: tuple[int, ...], shape3d: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pose_from_points(torch.zeros(points), torch.zeros(shape3d), CAMERA.float())
