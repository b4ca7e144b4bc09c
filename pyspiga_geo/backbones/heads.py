"""Landmark and pose heads: heatmaps of a feature map, and coordinates read from them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyspiga_geo.backbones.hourglass import conv


def soft_argmax(heatmaps: Tensor) -> Tensor:
    """Expected position under the softmax of heatmaps.

    Args:
        heatmaps: logits [B, L, h, w].

    Returns:
        (x, y) [B, L, 2], map pixel index / resolution.

    Example:
        >>> heatmaps = torch.full((1, 1, 4, 8), -100.0)
        >>> heatmaps[0, 0, 1, 6] = 100  # row 1 of 4, column 6 of 8
        >>> soft_argmax(heatmaps).tolist()
        [[[0.75, 0.25]]]
    """
    height, width = heatmaps.shape[-2:]
    weight = heatmaps.flatten(2).softmax(dim=-1).view_as(heatmaps)
    x = torch.arange(width, device=weight.device, dtype=weight.dtype) / width
    y = torch.arange(height, device=weight.device, dtype=weight.dtype) / height
    return torch.stack([(weight.sum(dim=2) * x).sum(dim=-1), (weight.sum(dim=3) * y).sum(dim=-1)], dim=-1)


def at_least_single(x: Tensor) -> Tensor:
    """Convert to single precision, unless it is already as precise or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LandmarkMaps(NamedTuple):
    """Output of :class:`LandmarkHead`: maps of h x w pixels, and the heatmaps and positions derived from them.

    Example:
        >>> out = LandmarkHead(8, torch.eye(5))(torch.rand(2, 8, 16, 16))
        >>> out.points.shape, out.landmarks.shape
        (torch.Size([2, 5, 16, 16]), torch.Size([2, 5, 2]))
    """

    maps: Tensor
    """[B, L, h, w]: unbounded evidence for each landmark."""
    points: Tensor
    """[B, L, h, w]: point attention, 0..1."""
    boundaries: Tensor
    """[B, E, h, w]: boundary attention, 0..1."""
    gates: Tensor
    """[B, L, h, w]: attention of the boundaries that each landmark belongs to, at most 1; 1 for landmarks of none."""

    @property
    def heatmaps(self) -> Tensor:
        """Input of the next stack [B, L, h, w]: maps x points x gates."""
        return self.maps * self.points * self.gates

    @property
    def landmarks(self) -> Tensor:
        """Expected position [B, L, 2] under the density exp(maps) x points x gates, map pixel index / resolution.

        The evidence is gated as a density and not as a logit: gates near zero then exclude a pixel, while in
        a softmax of the product they would make it as likely as any other.
        """
        return soft_argmax(self.log_density)

    @property
    def log_density(self) -> Tensor:
        """Logarithm of that density, up to a constant [B, L, h, w]; in single precision also under autocast."""
        maps, points, gates = (at_least_single(t) for t in (self.maps, self.points, self.gates))
        return maps + points.clamp(min=1e-6).log() + gates.clamp(min=1e-6).log()


class LandmarkHead(nn.Module):
    """Point attention, boundary attention and the evidence that they gate, each by one 1 x 1 convolution.

    Args:
        channels: channels C of the feature map.
        boundary_matrix: [L, E + 1], membership of landmarks in boundaries
            (:attr:`pyspiga_geo.layouts.Layout.boundary_matrix`).

    Shapes:
        - **feature_map**: ``[B, C, h, w]``
        - **output**: :class:`LandmarkMaps`

    Example:
        >>> LandmarkHead(8, torch.eye(5))(torch.rand(2, 8, 16, 16)).heatmaps.shape
        torch.Size([2, 5, 16, 16])
    """

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
        """Compute the maps.

        Args:
            feature_map: the features.
        """
        points = self.points(feature_map).sigmoid()
        if self.boundaries is None:  # a layout without contours
            boundaries = points.new_zeros(len(points), 0, *points.shape[2:])
            return LandmarkMaps(self.maps(feature_map), points, boundaries, torch.ones_like(points))
        boundaries = self.boundaries(feature_map).sigmoid()
        weights = self.boundary_matrix.to(boundaries)  # the last column is of the landmarks of no boundary
        gates = F.conv2d(boundaries, weights[:, :-1, None, None], weights[:, -1]).clamp(max=1)
        return LandmarkMaps(self.maps(feature_map), points, boundaries, gates)


class PoseHead(nn.Linear):
    """Linear map of features to a head pose.

    Args:
        in_channels: channels C of the features.

    Shapes:
        - **input**: ``[B, C]``
        - **output**: ``[B, 6]``: yaw, pitch, roll in degrees, translation in units of the rigid shape

    Example:
        >>> PoseHead(16)(torch.rand(2, 16)).shape
        torch.Size([2, 6])
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, 6)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the pose, in single precision or better.

        Args:
            input: the features.
        """
        return at_least_single(super().forward(input))

    @torch.no_grad()
    def aim(self, distance: Tensor) -> None:
        """Set the bias to a frontal face at a distance, a good start for training.

        Args:
            distance: in units of the rigid shape.
        """
        self.bias.zero_()
        self.bias[-1] = distance

    @torch.no_grad()
    def rescale(self, factor: Tensor) -> None:
        """Count translations in another unit.

        Args:
            factor: size of a rigid shape in the new unit over its size in the old one.
        """
        for parameter in (self.weight, self.bias):
            parameter[3:] *= factor
