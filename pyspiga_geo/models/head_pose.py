"""Head pose from landmarks: the true one of annotated faces, and the one that found landmarks have."""

import torch
from torch import Tensor

from pyspiga_geo.geometry import camera_matrix, pose_from_points
from pyspiga_geo.layouts import Layout

POSE_CROP = 256
"""Side in pixels of the crop that the reference's labels are made in: POSIT's tolerance is a tenth of these."""


def pose_targets(pos: Tensor, mask: Tensor, layout: Layout, focal_ratio: float = 1.5) -> Tensor:
    """Pose [B, 6] of the true points (POSIT on the robust landmarks); NaN where fewer than four are known.

    All are NaN where no pose can be told: the layout has no rigid shape, or a flat one, or fewer than four landmarks.

    Args:
        pos: [B, L, 2], normalised crop coordinates.
        mask: [B, L] bool.
        layout: tells the rigid shape and the robust landmarks.
        focal_ratio: focal length of the camera over the size of the crop.
    """
    rows = layout.pose_rows
    if layout.shape3d is None or not rows:
        return pos.new_full((len(pos), 6), torch.nan)
    camera = camera_matrix(POSE_CROP, focal_ratio, dtype=torch.float64).to(pos.device)
    shape3d = torch.tensor(layout.shape3d[rows], dtype=torch.float64, device=pos.device)
    pose = pose_from_points(POSE_CROP * pos[:, rows].double(), shape3d, camera, mask[:, rows])
    return pose.to(pos.dtype)


def fitted_poses(pose: Tensor | None, pos: Tensor, layout: Layout, focal_ratio: float = 1.5) -> Tensor | None:
    """Head pose [B, 6] fitted to found landmarks, as that of annotated faces is to theirs (:func:`pose_targets`).

    It is more exact than the one that a backbone estimates before it knows them. Where there is none, because the
    layout has no rigid shape or a flat one, the result is the estimated pose.

    Args:
        pose: [B, 6], estimated by a backbone; None: the result is None too.
        pos: [B, L, 2], normalised crop coordinates.
        layout: tells the rigid shape and the robust landmarks.
        focal_ratio: focal length of the camera over the size of the crop.
    """
    if pose is None:
        return None
    fitted = pose_targets(pos, torch.ones_like(pos[..., 0], dtype=torch.bool), layout, focal_ratio)
    return torch.where(fitted.isfinite().all(dim=1, keepdim=True), fitted, pose).to(pose)
