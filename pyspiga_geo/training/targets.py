"""What the backbone is taught: heatmaps of points and boundaries; and the pose that it is measured by."""

import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyspiga_geo.evaluation.landmark_pose import pose_targets
from pyspiga_geo.layouts import Layout


def point_heatmaps(pos: Tensor, size: int, sigma: float) -> Tensor:
    """A Gaussian of height 1 at each landmark.

    Args:
        pos: [B, L, 2], normalised crop coordinates.
        size: side of the map in pixels.
        sigma: standard deviation in map pixels.

    Returns:
        [B, L, size, size].
    """
    steps = torch.arange(size, dtype=pos.dtype, device=pos.device)
    along_x, along_y = torch.exp(-(size * pos[..., None] - steps).square() / (2 * sigma**2)).unbind(dim=2)
    return along_y[..., None] * along_x[:, :, None]


def boundary_heatmaps(pos: Tensor, layout: Layout, size: int, sigma: float) -> Tensor:
    """A ridge of height 1 along each contour: a Gaussian of the distance to its polyline.

    Args:
        pos: [B, L, 2], normalised crop coordinates.
        layout: names the contours.
        size: side of the map in pixels.
        sigma: standard deviation in map pixels.

    Returns:
        [B, E, size, size], one map a contour.
    """
    if not layout.contours:
        return pos.new_zeros(len(pos), 0, size, size)
    steps = torch.arange(size, dtype=pos.dtype, device=pos.device)
    pixels = torch.cartesian_prod(steps, steps).flip(1)  # (x, y), row by row
    maps = []
    for members in layout.contours.values():
        line = size * pos[:, list(members)]  # [B, n, 2]
        start, along = line[:, :-1, None], (line[:, 1:] - line[:, :-1])[:, :, None]
        length = along.square().sum(dim=-1).clamp(min=1e-12)
        part = (((pixels - start) * along).sum(dim=-1) / length).clamp(0, 1)  # [B, n - 1, pixels]
        squared = (start + part[..., None] * along - pixels).square().sum(dim=-1).amin(dim=1)
        maps.append(torch.exp(-squared / (2 * sigma**2)))
    return torch.stack(maps, dim=1).unflatten(-1, (size, size))


def boundary_mask(mask: Tensor, layout: Layout) -> Tensor:
    """Contours [B, E] all of whose landmarks are unmasked [B, L]."""
    if not layout.contours:
        return mask.new_zeros(len(mask), 0)
    return torch.stack([mask[:, list(members)].all(dim=1) for members in layout.contours.values()], dim=1)


def true_poses(batch: Batch, pos: Tensor, mask: Tensor, layout: Layout, focal_ratio: float) -> Tensor:
    """Pose [B, 6] that a prediction is measured by: ``batch.headpose`` where annotated, else :func:`pose_targets`.

    The other arguments are those of :func:`pose_targets`.
    """
    poses = pose_targets(pos, mask, layout, focal_ratio)
    if "headpose" not in batch:
        return poses
    annotated = batch.headpose.to(pos.device)
    return torch.where(annotated.isnan(), poses.to(annotated), annotated)
