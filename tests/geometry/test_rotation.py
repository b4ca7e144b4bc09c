import pytest
import torch
from torch import Tensor

from pyspiga_geo.geometry import euler_to_rotation, rotation_to_euler

# Axes of the face in the world frame: out of the face, to the person's right, down.
FORWARD, RIGHT, DOWN = torch.eye(3, dtype=torch.float64)

SPECIAL = torch.tensor([-180, -135, -90, -1e-7, 0, 1e-12, 45, 89.999999, 90, 180], dtype=torch.float64)


def all_angles() -> Tensor:
    """Yaw, pitch and roll [2000, 3]: any, and all that are special, at the poles and beyond."""
    drawn = 360 * torch.rand(1000, 3, dtype=torch.float64) - 180
    return torch.cat([torch.cartesian_prod(SPECIAL, SPECIAL, SPECIAL), drawn])


def rotation(yaw: float = 0, pitch: float = 0, roll: float = 0) -> Tensor:
    return euler_to_rotation(torch.tensor([yaw, pitch, roll], dtype=torch.float64))


def circular(difference: Tensor) -> Tensor:
    """Differences of angles, around zero."""
    return torch.remainder(difference + 180, 360) - 180


def test_face_that_looks_into_the_camera() -> None:
    straight = rotation()
    # In the camera frame: x to the right of the picture, y down, z away from the camera.
    torch.testing.assert_close(straight @ FORWARD, torch.tensor([0.0, 0, -1], dtype=torch.float64))
    torch.testing.assert_close(straight @ RIGHT, torch.tensor([-1.0, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(straight @ DOWN, torch.tensor([0.0, 1, 0], dtype=torch.float64))


def test_yaw_turns_the_nose_to_the_right_of_the_picture() -> None:
    x, y, z = rotation(yaw=30) @ FORWARD
    torch.testing.assert_close(x, torch.tensor(0.5, dtype=torch.float64))  # sin 30
    assert y.abs() < 1e-12
    assert z < 0
    torch.testing.assert_close(rotation(yaw=30) @ DOWN, rotation() @ DOWN)  # turns about the vertical


def test_pitch_lifts_the_nose() -> None:
    x, y, z = rotation(pitch=30) @ FORWARD
    assert x.abs() < 1e-12
    torch.testing.assert_close(y, torch.tensor(-0.5, dtype=torch.float64))  # up in the picture
    assert z < 0
    torch.testing.assert_close(rotation(pitch=30) @ RIGHT, rotation() @ RIGHT)  # nods about the ear-to-ear axis


def test_roll_tilts_the_head_clockwise() -> None:
    x, y, z = rotation(roll=30) @ -DOWN  # the top of the head
    torch.testing.assert_close(x, torch.tensor(0.5, dtype=torch.float64))  # moves to the right of the picture
    assert y < 0
    assert z.abs() < 1e-12
    torch.testing.assert_close(rotation(roll=30) @ FORWARD, rotation() @ FORWARD)  # about the line of sight


def test_equation_of_the_module_text() -> None:
    yaw, pitch, roll = 25.0, -12.0, 7.0
    angles = torch.deg2rad(torch.tensor([90 - yaw, -pitch, -(roll + 90)], dtype=torch.float64))
    (c1, c2, c3), (s1, s2, s3) = angles.cos().tolist(), angles.sin().tolist()
    about_y = torch.tensor([[c1, 0, s1], [0, 1, 0], [-s1, 0, c1]], dtype=torch.float64)
    about_z = torch.tensor([[c2, -s2, 0], [s2, c2, 0], [0, 0, 1]], dtype=torch.float64)
    about_x = torch.tensor([[1, 0, 0], [0, c3, -s3], [0, s3, c3]], dtype=torch.float64)
    torch.testing.assert_close(rotation(yaw, pitch, roll), about_y @ about_z @ about_x, rtol=0, atol=1e-14)


def test_rotations_are_rotations_and_come_back() -> None:
    # Any pitch, beyond +-90 and at the poles too: the angles may change there, the rotation may not.
    matrix = euler_to_rotation(all_angles())
    eye = torch.eye(3, dtype=torch.float64).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.mT, eye, rtol=0, atol=1e-14)
    torch.testing.assert_close(matrix.det(), torch.ones(len(matrix), dtype=torch.float64))
    angles = rotation_to_euler(matrix)
    assert angles.isfinite().all()
    assert (angles[:, 1].abs() <= 90).all()
    torch.testing.assert_close(euler_to_rotation(angles), matrix, rtol=0, atol=1e-7)


def test_angles_come_back() -> None:
    angles = all_angles()
    angles = angles[angles[:, 1].abs() <= 89]
    again = rotation_to_euler(euler_to_rotation(angles))
    assert circular(again - angles).abs().max() < 1e-9
    assert (again[:, 1].abs() <= 90).all()


def test_returned_yaw_and_roll_stay_below_180() -> None:
    yaw = torch.linspace(-170, 170, 101, dtype=torch.float64)
    upside_down = torch.stack([yaw, yaw / 3, torch.full_like(yaw, 180)], dim=-1)
    backwards = torch.stack([torch.full_like(yaw, 180), yaw / 3, yaw], dim=-1)
    angles = rotation_to_euler(euler_to_rotation(torch.cat([upside_down, backwards])))
    assert angles[:, [0, 2]].min() >= -180
    assert angles[:, [0, 2]].max() < 180


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
def test_leading_dimensions_are_kept(shape: tuple[int, ...]) -> None:
    angles = torch.rand(shape, dtype=torch.float64) * 80
    matrices = euler_to_rotation(angles)
    assert matrices.shape == (*shape[:-1], 3, 3)
    assert matrices.dtype == torch.float64
    torch.testing.assert_close(rotation_to_euler(matrices), angles)
    one_by_one = [euler_to_rotation(each) for each in angles.reshape(-1, 3)]
    if one_by_one:
        torch.testing.assert_close(matrices.reshape(-1, 3, 3), torch.stack(one_by_one))


def test_gradients() -> None:
    angles = torch.tensor([[20.0, -10, 5], [0, 0, 0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(euler_to_rotation, angles)
