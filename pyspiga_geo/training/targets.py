"""Targets of the backbone: heatmaps of points and boundaries, and head poses."""

import torch
from torch import Tensor

from pyspiga_geo.geometry import camera_matrix, pose_from_points
from pyspiga_geo.layouts import Layout


def _pixels(size: int, like: Tensor) -> Tensor:
    """(x, y) of all map pixels [size * size, 2]."""
    steps = torch.arange(size, dtype=like.dtype, device=like.device)
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)


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
    pixels = _pixels(size, pos)
    if not layout.contours:
        return pos.new_zeros(len(pos), 0, size, size)
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


def pose_targets(pos: Tensor, mask: Tensor, layout: Layout, focal_ratio: float) -> Tensor:
    """Pose of the true points (POSIT on the robust landmarks).

    Args:
        pos: [B, L, 2], normalised crop coordinates.
        mask: [B, L] bool.
        layout: its rigid shape and robust landmarks are used.
        focal_ratio: focal length of the camera over the size of the crop.

    Returns:
        [B, 6]; NaN for faces with fewer than four of the robust landmarks. All are NaN if the layout has no rigid
        shape, a flat one, or fewer than four landmarks.

    Example:
        >>> from pyspiga_geo.layouts import IBUG68
        >>> frontal = 0.5 + torch.tensor(IBUG68.shape3d[None, :, 1:] * [-0.3, 0.3])
        >>> pose = pose_targets(frontal, torch.ones(1, 68, dtype=torch.bool), IBUG68, focal_ratio=1.5)
        >>> pose.shape, bool(pose[0, 0].abs() < 1)  # yaw
        (torch.Size([1, 6]), True)
    """
    rows = layout.pose_rows
    if layout.shape3d is None or not rows:
        return pos.new_full((len(pos), 6), torch.nan)
    # POSIT's tolerance is in pixels: count in those of the reference's 256-pixel crop.
    size = 256
    camera = camera_matrix(size, focal_ratio, dtype=torch.float64).to(pos.device)
    shape3d = torch.tensor(layout.shape3d[rows], dtype=torch.float64, device=pos.device)
    pose = pose_from_points(size * pos[:, rows].double(), shape3d, camera, mask[:, rows])
    return pose.to(pos.dtype)
