"""The multitask backbone: features for the cascade, head pose, and heatmaps that training supervises."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones.heads import LandmarkHead, PoseHead
from pyspiga_geo.backbones.hourglass import ConvBlock, Hourglass, Residual, conv
from pyspiga_geo.backbones.protocol import BackboneOutput, StackOutput


class CoordinateChannels(nn.Module):
    """Append three channels with the coordinates of each pixel.

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


class HourglassStack(nn.Module):
    """One hourglass with its pose head and its landmark head."""

    def __init__(self, channels: int, depth: int, core_size: int, boundary_matrix: Tensor, last: bool) -> None:
        super().__init__()
        self.hourglass = Hourglass(depth, channels)
        self.out = nn.Sequential(Residual(channels, channels), ConvBlock(channels, channels, 1))
        core: list[nn.Module] = []
        while core_size > 1:
            core += [Residual(channels, channels), ConvBlock(channels, channels, 2, 2)]
            core_size //= 2
        self.core = nn.Sequential(*core)
        self.pose = PoseHead(channels)
        self.landmarks = LandmarkHead(channels, boundary_matrix)
        self.merge_heatmaps = None if last else conv(len(boundary_matrix), channels, 1)
        self.merge_features = None if last else conv(channels, channels, 1)

    def estimate_pose(self, core: Tensor) -> Tensor:
        """Pose [B, 6] of the hourglass's core."""
        out: Tensor = self.pose(self.core(core).flatten(1))
        return out

    def merge(self, x: Tensor, feature_map: Tensor, heatmaps: Tensor) -> Tensor:
        """Input of the next stack; of the last stack, its features."""
        if self.merge_heatmaps is None or self.merge_features is None:
            return feature_map
        out: Tensor = x + self.merge_heatmaps(heatmaps) + self.merge_features(feature_map)
        return out


class MultitaskHourglass(nn.Module):
    """M stacked hourglasses, each with a pose head and a landmark head.

    ``forward`` is for inference: the pose of the last stack, its features and on request its heatmaps.
    ``forward_stacks`` is for training: the outputs of every stack.

    Args:
        boundary_matrix: [L, E + 1], membership of landmarks in boundaries
            (:attr:`pyspiga_geo.layouts.Layout.boundary_matrix`).
        image_size: side S of the square input in pixels; the map has S / 4.
        channels: C of the feature map.
        num_stacks: M.
        depth: number of halvings inside an hourglass; S / 4 / 2^depth must be a power of two.

    Shapes:
        - **images**: ``[B, 3, S, S]``, 0..1
        - **output**: :class:`BackboneOutput`, one map of S / 4 x S / 4

    Raises:
        ValueError: if image_size and depth do not fit.

    Example:
        >>> backbone = MultitaskHourglass(torch.eye(5), image_size=64, channels=16, num_stacks=2, depth=2)
        >>> pose, maps, heatmaps = backbone(torch.rand(2, 3, 64, 64), return_heatmaps=True)
        >>> pose.shape, maps[0].shape, heatmaps.shape
        (torch.Size([2, 6]), torch.Size([2, 16, 16, 16]), torch.Size([2, 5, 16, 16]))
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
        self.channels = (channels,)
        self.strides = (4,)
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
        """Compute the output of the last stack, and nothing that only training needs.

        Args:
            images: the batch.
            return_heatmaps: also compute the heatmaps.
        """
        x = self.stem(self.coordinates(images))
        for index, stack in enumerate(self.stacks):
            merged, core = stack.hourglass(x)
            feature_map = stack.out(merged)
            if index < len(self.stacks) - 1:
                x = stack.merge(x, feature_map, stack.landmarks(feature_map).heatmaps)
        last = self.stacks[-1]
        heatmaps = last.landmarks(feature_map).log_density if return_heatmaps else None
        return BackboneOutput(last.estimate_pose(core), [feature_map], heatmaps)

    def pose_modules(self) -> list[nn.Module]:
        """The pose heads of all stacks, with the layers between them and the core."""
        return [module for stack in self.stacks for module in (stack.core, stack.pose)]

    def forward_stacks(self, images: Tensor) -> list[StackOutput]:
        """Compute the outputs of every stack.

        Args:
            images: the batch.

        Returns:
            A :class:`StackOutput` per stack, first to last.
        """
        x = self.stem(self.coordinates(images))
        outputs = []
        for stack in self.stacks:
            merged, core = stack.hourglass(x)
            feature_map = stack.out(merged)
            maps = stack.landmarks(feature_map)
            pose = stack.estimate_pose(core)
            outputs.append(
                StackOutput(pose, maps.landmarks, maps.points, maps.boundaries, [feature_map], maps.log_density)
            )
            x = stack.merge(x, feature_map, maps.heatmaps)
        return outputs
