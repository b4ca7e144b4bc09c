"""Head pose from landmarks; where the true one comes from is tested with the targets of training."""

from dataclasses import replace

import torch

from pyspiga_geo import get_layout
from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.models.head_pose import fitted_poses

LAYOUT = get_layout("ibug68")
POSE = torch.tensor([[20.0, -10, 5, 0.1, -0.2, 4.0], [-35.0, 5, -15, 0, 0, 5.0]], dtype=torch.float64)
ESTIMATED = POSE + 7


def test_landmarks_overrule_the_estimate():
    pos = project(torch.tensor(LAYOUT.shape3d), POSE, camera_matrix(1, 1.5, dtype=torch.float64))
    found = fitted_poses(ESTIMATED.float(), pos.float(), LAYOUT)
    assert found.dtype == torch.float32
    assert (found - POSE)[:, :3].abs().max() < 0.2
    assert (found - POSE)[:, 3:].abs().max() < 0.02


def test_without_a_rigid_shape_the_estimate_stays():
    pos = torch.rand(2, 68, 2)
    flat = LAYOUT.shape3d * [1, 1, 0]
    for shape3d in (None, flat):
        assert torch.equal(fitted_poses(ESTIMATED, pos, replace(LAYOUT, name="own", shape3d=shape3d)), ESTIMATED)
    assert fitted_poses(None, pos, LAYOUT) is None
