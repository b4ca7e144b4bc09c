"""Targets of the backbone: heatmaps of points and boundaries; and the pose that validation compares with."""

import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyspiga_geo.layouts import Layout
from pyspiga_geo.models.head_pose import pose_targets


def point_heatmaps(pos: Tensor, size: int, sigma: float) -> Tensor:
    """A Gaussian of height 1 at each landmark.

    Args:
        pos: [B, L, 2], normalised crop coordinates.
        size: side of the map in pixels.
        sigma: standard deviation in map pixels.

    Returns:
        [B, L, size, size].

    Example:
        >>> heatmaps = point_heatmaps(torch.tensor([[[0.5, 0.25]]]), size=8, sigma=1.0)
        >>> heatmaps.shape, heatmaps[0, 0, 2, 4]
        (torch.Size([1, 1, 8, 8]), tensor(1.))
    """
    steps = torch.arange(size, dtype=pos.dtype, device=pos.device)
    along_x, along_y = torch.exp(-(size * pos[..., None] - steps).square() / (2 * sigma**2)).unbind(dim=2)
    return along_y[..., None] * along_x[:, :, None]


def boundary_heatmaps(pos: Tensor, layout: Layout, size: int, sigma: float) -> Tensor:
    """A ridge of height 1 along each contour: a Gaussian of the distance to its polyline.

    Args:
        pos: [B, L, 2], normalised crop coordinates.
        layout: whose contours to draw.
        size: side of the map in pixels.
        sigma: standard deviation in map pixels.

    Returns:
        [B, E, size, size], one map per contour.

    Example:
        >>> line = Layout("line", ids=(1, 2), contours={"line": (0, 1)})
        >>> boundary_heatmaps(torch.tensor([[[0.25, 0.5], [0.75, 0.5]]]), line, size=8, sigma=1.0)[0, 0, 4].round(
        ...     decimals=1
        ... )
        tensor([0.1000, 0.6000, 1.0000, 1.0000, 1.0000, 1.0000, 1.0000, 0.6000])
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
    """Contours all of whose landmarks are unmasked.

    Args:
        mask: [B, L] bool.
        layout: the landmark set.

    Returns:
        [B, E] bool.

    Example:
        >>> line = Layout("line", ids=(1, 2, 3), contours={"line": (0, 1), "other": (1, 2)})
        >>> boundary_mask(torch.tensor([[True, True, False]]), line)
        tensor([[ True, False]])
    """
    if not layout.contours:
        return mask.new_zeros(len(mask), 0)
    return torch.stack([mask[:, list(members)].all(dim=1) for members in layout.contours.values()], dim=1)


def true_poses(batch: Batch, pos: Tensor, mask: Tensor, layout: Layout, focal_ratio: float) -> Tensor:
    """Pose that a prediction is compared with: the annotated head pose, else that of the true points.

    Args:
        batch: faces; ``headpose`` [B, 6], if present, is the annotated head pose, NaN for faces without one.
        pos: [B, L, 2], normalised crop coordinates.
        mask: [B, L] bool.
        layout: its rigid shape and robust landmarks are used.
        focal_ratio: focal length of the camera over the size of the crop.

    Returns:
        [B, 6].

    Example:
        >>> from pyspiga_geo.layouts import IBUG68
        >>> frontal = 0.5 + torch.tensor(IBUG68.shape3d[None, :, 1:] * [-0.3, 0.3])
        >>> true_poses(Batch(), frontal, torch.ones(1, 68, dtype=torch.bool), IBUG68, focal_ratio=1.5).shape
        torch.Size([1, 6])
    """
    poses = pose_targets(pos, mask, layout, focal_ratio)
    if "headpose" not in batch:
        return poses
    annotated = batch.headpose.to(pos.device)
    return torch.where(annotated.isnan(), poses.to(annotated), annotated)
