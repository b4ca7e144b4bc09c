"""The pinhole camera that views a face crop."""

import torch
from torch import Tensor

from pyspiga_geo.geometry.rotation import euler_to_rotation


def camera_matrix(resolution: int, focal_ratio: float = 1.5, *, dtype: torch.dtype | None = None) -> Tensor:
    """Intrinsic matrix of the camera that views a square crop.

    Focal length ``focal_ratio`` x ``resolution``, principal point at the crop's centre, both in pixels.

    Args:
        resolution: side of the crop in pixels.
        focal_ratio: focal length over the side of the crop.
        dtype: of the result. Default: PyTorch's default.

    Returns:
        [3, 3].

    Example:
        >>> camera_matrix(64).tolist()
        [[96.0, 0.0, 32.0], [0.0, 96.0, 32.0], [0.0, 0.0, 1.0]]
    """
    focal, centre = focal_ratio * resolution, resolution / 2
    return torch.tensor([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], dtype=dtype)


def project(shape3d: Tensor, pose: Tensor, camera: Tensor) -> Tensor:
    """Project a rigid shape seen under a head pose: x = perspective division of camera (R X + t).

    Args:
        shape3d: [L, 3], world frame of :mod:`pyspiga_geo.geometry.rotation`.
        pose: [..., 6]: yaw, pitch, roll in degrees, then the translation t in units of ``shape3d``.
        camera: [3, 3], in pixels (:func:`camera_matrix`).

    Returns:
        (x, y) [..., L, 2] in the camera's pixels.

    Example:
        >>> frontal = torch.tensor([0.0, 0, 0, 0, 0, 3])
        >>> nose_and_chin = torch.tensor([[0.0, 0, 0], [0, 0, 1]])  # X out of the face, Y to its right, Z down
        >>> project(nose_and_chin, frontal, camera_matrix(64)).round().tolist()
        [[32.0, 32.0], [32.0, 64.0]]
    """
    angles, translation = pose.split(3, dim=-1)
    in_camera = shape3d @ euler_to_rotation(angles).mT + translation.unsqueeze(-2)
    homogeneous = in_camera @ camera.mT
    return homogeneous[..., :2] / homogeneous[..., 2:]
