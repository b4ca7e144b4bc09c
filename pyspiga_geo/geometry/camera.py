"""The pinhole camera that looks at a face crop."""

import torch
from torch import Tensor

from pyspiga_geo.geometry.rotation import euler_to_rotation


def camera_matrix(resolution: int, focal_ratio: float = 1.5, *, dtype: torch.dtype | None = None) -> Tensor:
    """Intrinsic matrix [3, 3] for a square crop of ``resolution`` pixels.

    Focal length ``focal_ratio`` x resolution, principal point at the crop's centre, both in pixels.
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
    """
    angles, translation = pose.split(3, dim=-1)
    in_camera = shape3d @ euler_to_rotation(angles).mT + translation.unsqueeze(-2)
    homogeneous = in_camera @ camera.mT
    return homogeneous[..., :2] / homogeneous[..., 2:]
