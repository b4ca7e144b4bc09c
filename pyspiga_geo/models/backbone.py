"""The multitask backbone: features for the cascade, head pose, and heatmaps that training supervises."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyspiga_geo.models.hourglass import ConvBlock, Hourglass, Residual, conv


class BackboneOutput(NamedTuple):
    """What the cascade needs."""

    pose: Tensor
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape."""
    feature_map: Tensor
    """[B, C, h, w]."""
    heatmaps: Tensor | None
    """On request, the logarithm of each landmark's density [B, L, h, w], up to a constant."""


class StackOutput(NamedTuple):
    """What one hourglass says about a batch of faces, on a map of h x w pixels."""

    pose: Tensor
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape."""
    landmarks: Tensor
    """[B, L, 2]: coordinates read from the heatmaps, (x, y), map pixel index / resolution."""
    points: Tensor
    """[B, L, h, w]: point attention, 0..1."""
    boundaries: Tensor
    """[B, E, h, w]: boundary attention, 0..1."""
    feature_map: Tensor
    """[B, C, h, w]."""
    heatmaps: Tensor
    """[B, L, h, w]: logarithm of each landmark's density, up to a constant."""


def soft_argmax(heatmaps: Tensor) -> Tensor:
    """Expected (x, y) [B, L, 2] under the softmax of heatmaps [B, L, h, w], map pixel index / resolution."""
    height, width = heatmaps.shape[-2:]
    weight = heatmaps.flatten(2).softmax(dim=-1).view_as(heatmaps)
    x = torch.arange(width, device=weight.device, dtype=weight.dtype) / width
    y = torch.arange(height, device=weight.device, dtype=weight.dtype) / height
    return torch.stack([(weight.sum(dim=2) * x).sum(dim=-1), (weight.sum(dim=3) * y).sum(dim=-1)], dim=-1)


def _at_least_single(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class CoordinateChannels(nn.Module):
    """Append three channels that say where a pixel is.

    A ramp -1..1 down the rows, a ramp -1..1 along the columns, and the distance of both to 0.5, off-centre as in
    the reference network.
    """

    channels: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        ramp = torch.linspace(-1, 1, size, dtype=torch.float64)
        rows, columns = torch.meshgrid(ramp, ramp, indexing="ij")
        radius = ((rows - 0.5) ** 2 + (columns - 0.5) ** 2).sqrt()
        self.register_buffer("channels", torch.stack([rows, columns, radius]), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, 3, S, S] to [B, 6, S, S]."""
        return torch.cat([images, self.channels.to(images).expand(images.size(0), -1, -1, -1)], dim=1)


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
        maps, points, gates = (_at_least_single(t) for t in (self.maps, self.points, self.gates))
        return maps + points.clamp(min=1e-6).log() + gates.clamp(min=1e-6).log()


class LandmarkHead(nn.Module):
    """Point attention, boundary attention and the evidence that they gate."""

    boundary_matrix: Tensor

    def __init__(self, channels: int, boundary_matrix: Tensor) -> None:
        super().__init__()
        num_landmarks, num_columns = boundary_matrix.shape
        self.points = conv(channels, num_landmarks, 1)
        self.boundaries = conv(channels, num_columns - 1, 1)
        self.maps = conv(channels, num_landmarks, 1)
        # Each head has its own: a buffer shared by all of them would come apart as soon as one is cast.
        self.register_buffer("boundary_matrix", boundary_matrix.clone(), persistent=False)

    def forward(self, feature_map: Tensor) -> LandmarkMaps:
        """Maps of features [B, C, h, w]."""
        points = self.points(feature_map).sigmoid()
        boundaries = self.boundaries(feature_map).sigmoid()
        everywhere = torch.ones_like(boundaries[:, :1])  # gate of the landmarks of no boundary
        gates = torch.einsum(
            "le,behw->blhw",
            self.boundary_matrix.to(boundaries),
            torch.cat([boundaries, everywhere], dim=1),
        ).clamp(max=1)
        return LandmarkMaps(self.maps(feature_map), points, boundaries, gates)


class HourglassStack(nn.Module):
    """One hourglass with its pose head and its landmark head."""

    def __init__(
        self, channels: int, depth: int, core_size: int, boundary_matrix: Tensor, last: bool
    ) -> None:
        super().__init__()
        self.hourglass = Hourglass(depth, channels)
        self.out = nn.Sequential(Residual(channels, channels), ConvBlock(channels, channels, 1))
        core: list[nn.Module] = []
        while core_size > 1:
            core += [Residual(channels, channels), ConvBlock(channels, channels, 2, 2)]
            core_size //= 2
        self.core = nn.Sequential(*core)
        self.pose = nn.Linear(channels, 6)
        self.landmarks = LandmarkHead(channels, boundary_matrix)
        self.merge_heatmaps = None if last else conv(len(boundary_matrix), channels, 1)
        self.merge_features = None if last else conv(channels, channels, 1)

    def estimate_pose(self, core: Tensor) -> Tensor:
        """Pose [B, 6] of the hourglass's core."""
        out: Tensor = self.pose(self.core(core).flatten(1))
        return _at_least_single(out)

    def merge(self, x: Tensor, feature_map: Tensor, heatmaps: Tensor) -> Tensor:
        """Input of the next stack; of the last stack, its features."""
        if self.merge_heatmaps is None or self.merge_features is None:
            return feature_map
        out: Tensor = x + self.merge_heatmaps(heatmaps) + self.merge_features(feature_map)
        return out


class MultitaskHourglass(nn.Module):
    """M stacked hourglasses, each with a pose head and a landmark head.

    ``forward`` is what inference needs: the pose of the last stack, its features and on request its heatmaps.
    ``forward_stacks`` is what training supervises: the outputs of every stack.

    Args:
        boundary_matrix: [L, E + 1], membership of landmarks in boundaries (:class:`pyspiga_geo.layouts.Layout`).
        image_size: side S of the square input in pixels; the map has S / 4.
        channels: C of the feature map.
        num_stacks: M.
        depth: halvings inside an hourglass; S / 4 / 2^depth must be a power of two.

    Shapes:
        - **images**: ``[B, 3, S, S]``, 0..1
        - **output**: :class:`BackboneOutput`, maps of S / 4 x S / 4

    Raises:
        ValueError: when image_size and depth do not fit.
    """

    stacks: Sequence[HourglassStack]

    def __init__(
        self,
        boundary_matrix: Tensor,
        image_size: int = 256,
        channels: int = 256,
        num_stacks: int = 4,
        depth: int = 4,
    ) -> None:
        super().__init__()
        map_size = image_size // 4
        core_size = map_size >> depth
        if (
            depth < 1
            or core_size < 1
            or core_size << depth != map_size
            or map_size * 4 != image_size
            or core_size.bit_count() > 1
        ):
            raise ValueError(
                "image_size / 4 / 2^depth must be a power of two and depth 1 or more, "
                f"got image_size={image_size}, depth={depth}"
            )
        self.stem = nn.Sequential(
            ConvBlock(6, channels // 4, 7, 2),
            Residual(channels // 4, channels // 2),
            ConvBlock(channels // 2, channels // 2, 2, 2),
            Residual(channels // 2, channels // 2),
            Residual(channels // 2, channels),
        )
        self.coordinates = CoordinateChannels(image_size)
        self.stacks = nn.ModuleList(  # type: ignore[assignment]  # a sequence of modules in all but name
            HourglassStack(channels, depth, core_size, boundary_matrix, last=index == num_stacks - 1)
            for index in range(num_stacks)
        )

    def forward(self, images: Tensor, return_heatmaps: bool = False) -> BackboneOutput:
        """Return what the last stack says, and nothing that only training needs."""
        x = self.stem(self.coordinates(images))
        for index, stack in enumerate(self.stacks):
            merged, core = stack.hourglass(x)
            feature_map = stack.out(merged)
            if index < len(self.stacks) - 1:
                x = stack.merge(x, feature_map, stack.landmarks(feature_map).heatmaps)
        last = self.stacks[-1]
        heatmaps = last.landmarks(feature_map).log_density if return_heatmaps else None
        return BackboneOutput(last.estimate_pose(core), feature_map, heatmaps)

    def forward_stacks(self, images: Tensor) -> list[StackOutput]:
        """Return the outputs of every stack, first to last."""
        x = self.stem(self.coordinates(images))
        outputs = []
        for stack in self.stacks:
            merged, core = stack.hourglass(x)
            feature_map = stack.out(merged)
            maps = stack.landmarks(feature_map)
            pose = stack.estimate_pose(core)
            outputs.append(
                StackOutput(pose, maps.landmarks, maps.points, maps.boundaries, feature_map, maps.log_density)
            )
            x = stack.merge(x, feature_map, maps.heatmaps)
        return outputs
