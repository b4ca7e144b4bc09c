"""What a feature map says of the landmarks: heatmaps, and coordinates read from them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyspiga_geo.backbones.hourglass import conv


def soft_argmax(heatmaps: Tensor) -> Tensor:
    """Expected (x, y) [B, L, 2] under the softmax of heatmaps [B, L, h, w], map pixel index / resolution."""
    height, width = heatmaps.shape[-2:]
    weight = heatmaps.flatten(2).softmax(dim=-1).view_as(heatmaps)
    x = torch.arange(width, device=weight.device, dtype=weight.dtype) / width
    y = torch.arange(height, device=weight.device, dtype=weight.dtype) / height
    return torch.stack([(weight.sum(dim=2) * x).sum(dim=-1), (weight.sum(dim=3) * y).sum(dim=-1)], dim=-1)


def at_least_single(x: Tensor) -> Tensor:
    """In single precision, or better where it was better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LandmarkMaps(NamedTuple):
    """Maps of a landmark head; ``maps`` and ``gates`` are [B, L, h, w] like ``points``."""

    maps: Tensor
    """Unbounded evidence for each landmark."""
    points: Tensor
    """[B, L, h, w]: point attention, 0..1."""
    boundaries: Tensor
    """[B, E, h, w]: boundary attention, 0..1."""
    gates: Tensor
    """Attention of the boundaries that each landmark belongs to, at most 1; 1 for landmarks of none."""

    @property
    def heatmaps(self) -> Tensor:
        """What the next stack is told [B, L, h, w]: maps x points x gates."""
        return self.maps * self.points * self.gates

    @property
    def landmarks(self) -> Tensor:
        """Expected position [B, L, 2] under the density exp(maps) x points x gates, map pixel index / resolution.

        The evidence is gated as a density and not as a logit: gates near zero then exclude a place, while in
        a softmax of the product they would make it as likely as any other.
        """
        return soft_argmax(self.log_density)

    @property
    def log_density(self) -> Tensor:
        """Logarithm of that density, up to a constant [B, L, h, w]; in single precision also under autocast."""
        maps, points, gates = (at_least_single(t) for t in (self.maps, self.points, self.gates))
        return maps + points.clamp(min=1e-6).log() + gates.clamp(min=1e-6).log()


class LandmarkHead(nn.Module):
    """Point attention, boundary attention and the evidence that they gate."""

    boundary_matrix: Tensor

    def __init__(self, channels: int, boundary_matrix: Tensor) -> None:
        super().__init__()
        num_landmarks, num_columns = boundary_matrix.shape
        self.points = conv(channels, num_landmarks, 1)
        self.boundaries = conv(channels, num_columns - 1, 1) if num_columns > 1 else None
        self.maps = conv(channels, num_landmarks, 1)
        # Each head has its own: a buffer shared by all of them would come apart as soon as one is cast.
        self.register_buffer("boundary_matrix", boundary_matrix.clone(), persistent=False)

    def forward(self, feature_map: Tensor) -> LandmarkMaps:
        """Maps of features [B, C, h, w]."""
        points = self.points(feature_map).sigmoid()
        if self.boundaries is None:  # a layout without contours
            boundaries = points.new_zeros(len(points), 0, *points.shape[2:])
            return LandmarkMaps(self.maps(feature_map), points, boundaries, torch.ones_like(points))
        boundaries = self.boundaries(feature_map).sigmoid()
        weights = self.boundary_matrix.to(boundaries)  # the last column is of the landmarks of no boundary
        gates = F.conv2d(boundaries, weights[:, :-1, None, None], weights[:, -1]).clamp(max=1)
        return LandmarkMaps(self.maps(feature_map), points, boundaries, gates)


class PoseHead(nn.Linear):
    """Head pose [B, 6] of features [B, C]: yaw, pitch, roll in degrees, translation in units of the rigid shape."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, 6)

    def forward(self, input: Tensor) -> Tensor:
        """Pose in single precision or better."""
        return at_least_single(super().forward(input))

    @torch.no_grad()
    def aim(self, distance: Tensor) -> None:
        """Start from a frontal face at this distance."""
        self.bias.zero_()
        self.bias[-1] = distance
