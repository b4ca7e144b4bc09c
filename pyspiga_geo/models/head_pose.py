"""Head pose from landmarks: the true one of annotated faces, and the one fitted to predicted landmarks."""

import torch
from torch import Tensor

from pyspiga_geo.geometry import camera_matrix, pose_from_points
from pyspiga_geo.layouts import Layout

POSE_CROP = 256
"""Side in pixels of the crop in which the reference's labels are made: POSIT's tolerance is a tenth of such a pixel."""


def pose_targets(pos: Tensor, mask: Tensor, layout: Layout, focal_ratio: float = 1.5) -> Tensor:
    """Pose [B, 6] of the true points (POSIT on the robust landmarks); NaN where fewer than four are known.

    All are NaN if the layout determines no pose: it has no rigid shape, a flat one, or fewer than four landmarks.

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
    """Head pose [B, 6] fitted to predicted landmarks, as :func:`pose_targets` fits that of annotated faces.

    It is more exact than the backbone's estimate. If no pose can be fitted, because the layout has no rigid shape or a
    flat one, the result is the estimate.

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
