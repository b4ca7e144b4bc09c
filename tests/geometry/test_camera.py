import torch

from pyspiga_geo.geometry import camera_matrix, euler_to_rotation, project


def test_camera_matrix() -> None:
    camera = camera_matrix(64)
    assert camera.dtype == torch.float32
    assert camera.tolist() == [[96, 0, 32], [0, 96, 32], [0, 0, 1]]
    wide = camera_matrix(256, focal_ratio=0.5, dtype=torch.float64)
    assert wide.dtype == torch.float64
    assert wide.tolist() == [[128, 0, 128], [0, 128, 128], [0, 0, 1]]


def test_straight_face_by_hand() -> None:
    # Straight into the camera: X comes nearer, Y goes to the left of the picture, Z down.
    shape3d = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 2]], dtype=torch.float64)
    pose = torch.tensor([0.0, 0, 0, 0.5, -0.25, 4], dtype=torch.float64)
    seen = project(shape3d, pose, camera_matrix(64, dtype=torch.float64))
    expected = [
        [32 + 96 * 0.5 / 4, 32 - 96 * 0.25 / 4],
        [32 + 96 * 0.5 / 3, 32 - 96 * 0.25 / 3],
        [32 - 96 * 0.5 / 4, 32 - 96 * 0.25 / 4],
        [32 + 96 * 0.5 / 4, 32 + 96 * 0.75 / 4],
        [32 - 96 * 0.5 / 3, 32 + 96 * 1.75 / 3],
    ]
    torch.testing.assert_close(seen, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_turned_face_by_hand() -> None:
    # Roll of 90 degrees clockwise: what was down is now left, the person's right is up.
    shape3d = torch.tensor([[0.0, 0, 1], [0, 1, 0]], dtype=torch.float64)
    pose = torch.tensor([0.0, 0, 90, 0, 0, 3], dtype=torch.float64)
    seen = project(shape3d, pose, camera_matrix(64, dtype=torch.float64))
    torch.testing.assert_close(seen, torch.tensor([[0.0, 32], [32, 0]], dtype=torch.float64), rtol=0, atol=1e-12)


def test_formula_with_any_camera() -> None:
    shape3d = torch.rand(7, 3, dtype=torch.float64)
    pose = torch.tensor([25.0, -10, 15, 0.1, 0.2, 3], dtype=torch.float64)
    camera = torch.tensor([[80.0, 2, 30], [0, 90, 40], [0, 0, 1]], dtype=torch.float64)
    seen = project(shape3d, pose, camera)
    for point, (x, y) in zip(shape3d, seen, strict=True):
        u, v, w = camera @ (euler_to_rotation(pose[:3]) @ point + pose[3:])
        torch.testing.assert_close(x, u / w)
        torch.testing.assert_close(y, v / w)


def test_leading_dimensions_and_gradients() -> None:
    shape3d = torch.rand(5, 3, dtype=torch.float64)
    camera = camera_matrix(64, dtype=torch.float64)
    pose = torch.rand(2, 3, 6, dtype=torch.float64) * 10
    pose[..., 5] += 4
    seen = project(shape3d, pose, camera)
    assert seen.shape == (2, 3, 5, 2)
    torch.testing.assert_close(seen[1, 2], project(shape3d, pose[1, 2], camera))
    one = pose[0, 0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: project(shape3d, p, camera), one)
