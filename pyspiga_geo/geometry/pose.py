"""Head pose from 2-D landmarks: POSIT, batched."""

import torch
from torch import Tensor

from pyspiga_geo.geometry.rotation import rotation_to_euler

_TOLERANCE = 0.01
"""Squared movement of the scaled image points, in pixels, below which an item has converged."""


def pose_from_points(
    points: Tensor, shape3d: Tensor, camera: Tensor, mask: Tensor | None = None, max_iterations: int = 100
) -> Tensor:
    """Pose of a rigid shape from its image points (POSIT in its modern form, DeMenthon and Davis).

    Alternates between the scaled orthographic pose of the image points (two linear systems with the
    pseudo-inverse of [X, 1]) and the perspective correction of those points, until they move by less than
    0.1 pixel (root of the summed squares) or ``max_iterations`` is reached. The rotation is made
    orthogonal by SVD. This is the "pose" of the reference's labels, and not a least-squares fit of the
    reprojection error, which differs by degrees.

    Args:
        points: [..., L, 2], pixels of ``camera``.
        shape3d: [L, 3], world frame of :mod:`pyspiga_geo.geometry.rotation`.
        camera: [3, 3] with equal focal lengths.
        mask: [..., L] bool, the points to use (default: all). At least four that are not in one plane.
        max_iterations: upper bound on the iterations.

    Returns:
        [..., 6]: yaw, pitch, roll in degrees and the translation in units of ``shape3d``. NaN for items
        with fewer than four points.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> from pyspiga_geo.geometry import camera_matrix, project
        >>> from pyspiga_geo.layouts import get_layout
        >>> shape = torch.tensor(get_layout("ibug68").shape3d)
        >>> camera = camera_matrix(256, dtype=shape.dtype)
        >>> points = project(shape, torch.tensor([30.0, -10, 5, 1, 2, 9], dtype=shape.dtype), camera)
        >>> pose_from_points(points, shape, camera).round().tolist()
        [30.0, -10.0, 5.0, 1.0, 2.0, 9.0]
    """
    if points.shape[-2:] != (len(shape3d), 2) or shape3d.shape[1:] != (3,):
        raise ValueError(
            f"points [..., L, 2] and shape3d [L, 3] do not fit: {list(points.shape)} and {list(shape3d.shape)}"
        )
    batch, count = points.shape[:-2], len(shape3d)
    points = points.reshape(-1, count, 2)
    used = torch.ones(points.shape[:2], dtype=torch.bool) if mask is None else mask.reshape(-1, count)
    used = used.to(points.device)
    focal = camera[0, 0]
    seen = torch.where(used[..., None], (points - camera[:2, 2]) / focal, 0)
    world = torch.cat([shape3d, torch.ones_like(shape3d[:, :1])], dim=1) * used[..., None]
    inverse = torch.linalg.pinv(world)  # zeroed rows of masked points give zero columns

    scaled = seen
    active = used.sum(dim=1) >= 4
    rows = points.new_full((len(points), 2, 4), torch.nan)
    depths = points.new_full((len(points),), torch.nan)
    for iteration in range(max_iterations):
        if not active.any():
            break
        solved = (inverse @ scaled).mT  # [B, 2, 4]: I and J
        depth = solved[..., :3].norm(dim=-1).prod(dim=-1).rsqrt()  # sqrt(1/|I| 1/|J|)
        solved = solved * depth[:, None, None]
        axes = solved[..., :3].clamp(-1, 1)
        rows = torch.where(active[:, None, None], torch.cat([axes, solved[..., 3:]], dim=-1), rows)
        normal = torch.linalg.cross(axes[:, 0], axes[:, 1])
        correction = (world @ torch.cat([normal, depth[:, None]], dim=1)[..., None]) / depth[:, None, None]
        updated = correction * seen
        moved = focal**2 * (updated - scaled).square().sum(dim=(1, 2))
        depths = torch.where(active, depth, depths)
        scaled = torch.where(active[:, None, None], updated, scaled)
        if iteration > 0:
            active = active & (moved >= _TOLERANCE)

    pose = points.new_full((len(points), 6), torch.nan)
    found = rows.isfinite().all(dim=(1, 2))
    if found.any():
        axes = rows[found, :, :3]
        full = torch.cat([axes, torch.linalg.cross(axes[:, 0], axes[:, 1])[:, None]], dim=1)
        left, _, right = torch.linalg.svd(full)
        angles = rotation_to_euler(left @ right)
        pose[found] = torch.cat([angles, rows[found, :, 3], depths[found, None]], dim=1)
    return pose.reshape(*batch, 6)
