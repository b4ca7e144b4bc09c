from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pyspiga_geo.data.records import FaceRecord, read_records
from pyspiga_geo.evaluation import head_poses, landmark_poses, true_yaws
from pyspiga_geo.geometry import camera_matrix, invert_transform, project, square_crop, transform_points
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout

YAWS = (-50.0, 0.0, 20.0)


def turned(yaw: float, layout: Layout = IBUG68) -> FaceRecord:
    """The rigid face as a photo of a head shows it that is turned so far."""
    box = (300.0, 40.0, 90.0, 110.0)
    pose = torch.tensor([yaw, 5, -10, 0.1, 0, 3], dtype=torch.float64)
    crop = project(torch.tensor(layout.shape3d), pose, camera_matrix(256, dtype=torch.float64))
    to_photo = invert_transform(square_crop(torch.tensor(box, dtype=torch.float64), 256))
    return FaceRecord("a.png", box, tuple(layout.ids), transform_points(crop, to_photo).numpy(), np.ones(len(layout)))


@pytest.mark.parametrize("layout", [IBUG68, WFLW98], ids=lambda layout: layout.name)
def test_the_pose_of_a_rigid_face_is_found(layout: Layout) -> None:
    poses = landmark_poses([turned(yaw, layout) for yaw in YAWS])
    expected = [[yaw, 5, -10, 0.1, 0, 3] for yaw in YAWS]
    np.testing.assert_allclose(poses[:, :3], np.array(expected)[:, :3], atol=0.1)
    np.testing.assert_allclose(poses[:, 3:], np.array(expected)[:, 3:], atol=0.01)


def test_what_has_no_pose() -> None:
    few = turned(10)
    few.landmarks[[row for row in IBUG68.robust_rows if row != 36]] = np.nan
    assert np.isnan(landmark_poses([few])).all()
    partly = turned(20)
    partly.landmarks[:30] = np.nan
    assert landmark_poses([few, partly])[1, 0] == pytest.approx(20, abs=0.1)
    assert np.isnan(landmark_poses([replace(partly, ids=tuple(range(1000, 1068)))])).all()
    for shape3d in (None, IBUG68.shape3d * [0, 1, 1]):  # without a rigid shape, and with a flat one
        assert np.isnan(landmark_poses([partly], replace(IBUG68, name="own", shape3d=shape3d))).all()
    named = replace(IBUG68, name="own", ids=tuple(range(1000, 1068)))
    assert landmark_poses([replace(turned(20), ids=named.ids)], named)[0, 0] == pytest.approx(20, abs=0.1)


def test_annotated_yaws_come_first() -> None:
    annotated = replace(turned(20), headpose=(33.0, 0, 0, 0, 0, 3))
    unknown = replace(turned(20), headpose=(np.nan, 0, 0, 0, 0, 3))
    yaw, computed = true_yaws([annotated, turned(20), unknown])
    assert yaw == pytest.approx([33, 20, 20], abs=0.1)
    assert computed == 2
    assert true_yaws([annotated])[1] == 0


def test_the_annotated_poses_of_300w_private(shared: Path) -> None:
    records = read_records(shared / "evaluation" / "300wprivate" / "annotations.json")
    error = np.abs(landmark_poses(records) - head_poses(records))[:, :3]
    assert (error.mean(axis=0) <= 0.3).all()
    assert (error.mean(axis=0) >= 0.01).all()  # the annotated ones are of rounded points
