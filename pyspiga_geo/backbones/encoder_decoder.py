"""An encoder-decoder backbone: context from a half-size image, details from the full-size image.

The encoder is EfficientNet-Lite0 (Tan and Le, "EfficientNet", 2019, without squeeze-and-excitation), which can start
from ImageNet weights (:mod:`pyspiga_geo.backbones.imagenet`). A small model reads the image at half size: the
depthwise convolutions of the encoder are bound by memory and would take most of the time at full size. The decoder has
plain 3 x 3 convolutions, the fastest kind on most processors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyspiga_geo.backbones.heads import LandmarkHead, LandmarkMaps, PoseHead
from pyspiga_geo.backbones.hourglass import ConvBlock, conv
from pyspiga_geo.backbones.protocol import BackboneOutput, StackOutput

STEM_CHANNELS = 32
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Kernel, stride of the first block, expansion, channels and number of blocks of each stage."""
TAPS = {16: 0, 24: 2, 40: 4, 112: 10, 320: 15}
"""The last blocks of each map size, by their channels."""


class LiteConv(nn.Module):
    """Convolution, batch norm and, but for the last of a block, ReLU6; padded as TensorFlow pads even sides."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        before = (kernel - stride) // 2
        after = kernel - stride - before  # at stride 2 one more than before
        self.pad = (before, after, before, after) if stride > 1 else None
        padding = 0 if self.pad else before
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H / stride, W / stride]."""
        x = self.bn(self.conv(F.pad(x, self.pad) if self.pad else x))
        return F.relu6(x) if self.act else x


class InvertedResidual(nn.Module):
    """Widen (1 x 1), filter each channel separately, narrow (1 x 1); plus the input if the shape stays the same."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.expand = LiteConv(in_channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = LiteConv(wide, wide, kernel, stride, groups=wide)
        self.project = LiteConv(wide, out_channels, 1, act=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H / stride, W / stride]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class LiteEncoder(nn.Module):
    """EfficientNet-Lite0 without its classifier: four maps, each of half the side of the one before.

    Args:
        deep: all 16 blocks, down to 1/32 of the side. Default: the first eleven, down to 1/16.

    Shapes:
        - **images**: ``[B, 3, H, W]``, float RGB in 0..1, H and W multiples of 16 (of 32 if deep)
        - **output**: four maps of 16, 24, 40 and 112 channels and 1/2, 1/4, 1/8 and 1/16 of the sides; if deep, of 24,
          40, 112 and 320 channels and 1/4, 1/8, 1/16 and 1/32

    Example:
        >>> import torch
        >>> [tuple(m.shape[1:]) for m in LiteEncoder()(torch.rand(2, 3, 32, 32))]
        [(16, 16, 16), (24, 8, 8), (40, 4, 4), (112, 2, 2)]
        >>> [tuple(m.shape[1:]) for m in LiteEncoder(deep=True)(torch.rand(2, 3, 32, 32))]
        [(24, 8, 8), (40, 4, 4), (112, 2, 2), (320, 1, 1)]
    """

    def __init__(self, deep: bool = False) -> None:
        super().__init__()
        self.channels = tuple(TAPS)[1:] if deep else tuple(TAPS)[:-1]
        self.taps = [TAPS[width] for width in self.channels]
        self.stem = LiteConv(3, STEM_CHANNELS, 3, 2)
        self.blocks = nn.ModuleList()
        width = STEM_CHANNELS
        for kernel, stride, expansion, channels, count in STAGES:
            for index in range(count):
                if len(self.blocks) <= self.taps[-1]:
                    self.blocks.append(InvertedResidual(width, channels, kernel, 1 if index else stride, expansion))
                width = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps, fine to coarse; they are not bounded by an activation.

        Args:
            images: the batch.
        """
        x = self.stem((255 * images - 127) / 128)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        return maps


def _half_size(images: Tensor) -> Tensor:
    """Mean of each 2 x 2 pixels; for three channels several times as fast as ``avg_pool2d``."""
    rows = images[..., ::2, :] + images[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


class PlainBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and ReLU, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, 3)
        self.second = conv(channels, channels, 3)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return F.relu(x + self.bn(self.second(self.first(x))))


class Up(nn.Module):
    """A map of twice the side: the coarser map enlarged, plus the finer one, and a :class:`PlainBlock`."""

    def __init__(self, coarse: int, fine: int, out_channels: int) -> None:
        super().__init__()
        self.coarse = conv(coarse, out_channels, 1)
        self.fine = conv(fine, out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.block = PlainBlock(out_channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map [B, coarse, H, W] and [B, fine, 2 H, 2 W] to [B, out_channels, 2 H, 2 W]."""
        x = F.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest") + self.fine(fine)
        return self.block(F.relu(self.bn(x), inplace=True))


class EncoderDecoder(nn.Module):
    """A backbone with context from an encoder and details from the image itself.

    Unlike :class:`MultitaskHourglass` it has a single stage, whose outputs serve both inference and training.

    Args:
        boundary_matrix: [L, E + 1], membership of landmarks in boundaries
            (:attr:`pyspiga_geo.layouts.Layout.boundary_matrix`).
        channels: channels of the feature maps, coarse (stride 8) and fine (stride 4).
        heatmap_stride: which of the two maps the heatmaps are computed from, 8 or 4.
        pose: whether there is a head for the head pose.
        full_size: the encoder has five more blocks and reads the image at full size. Default: at half size, at a
            quarter of the work.

    Shapes:
        - **images**: ``[B, 3, S, S]``, float RGB in 0..1, S a multiple of 64
        - **output**: :class:`BackboneOutput`, maps of S / 8 x S / 8 and S / 4 x S / 4

    Raises:
        ValueError: for another heatmap_stride; when called, for images of another shape.

    Example:
        >>> import torch
        >>> backbone = EncoderDecoder(torch.eye(5), channels=(16, 8))
        >>> pose, maps, _ = backbone(torch.rand(2, 3, 64, 64))
        >>> pose.shape, [tuple(m.shape) for m in maps]
        (torch.Size([2, 6]), [(2, 16, 8, 8), (2, 8, 16, 16)])
    """

    strides = (8, 4)

    def __init__(
        self,
        boundary_matrix: Tensor,
        channels: tuple[int, int] = (96, 48),
        heatmap_stride: int = 4,
        pose: bool = True,
        full_size: bool = False,
    ) -> None:
        super().__init__()
        if heatmap_stride not in self.strides:
            raise ValueError(f"heatmap_stride must be 8 or 4, got {heatmap_stride}")
        self.channels = channels
        self.heatmap_stride = heatmap_stride
        coarse, fine = channels
        self.full_size = full_size
        self.encoder = LiteEncoder(deep=full_size)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in self.encoder.channels)
        fourth, eighth, sixteenth, core = self.encoder.channels  # of the maps at 1/4, 1/8, 1/16 and 1/32 of the image
        self.up16 = Up(core, sixteenth, coarse)
        self.up8 = Up(coarse, eighth, coarse)
        self.details = ConvBlock(3, fine, 7, 4)
        self.up4 = Up(coarse, fourth + fine, fine)
        self.core = ConvBlock(core, 128, 3, 2) if pose else None
        self.pose = PoseHead(128) if pose else None
        self.landmarks = LandmarkHead(channels[self.strides.index(heatmap_stride)], boundary_matrix)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor, return_heatmaps: bool = False) -> BackboneOutput:
        """Compute pose and feature maps, and heatmaps on request.

        Args:
            images: the batch.
            return_heatmaps: also compute the heatmaps.
        """
        pose, maps = self._features(images)
        return BackboneOutput(pose, maps, self._read(maps).log_density if return_heatmaps else None)

    def pose_modules(self) -> list[nn.Module]:
        """The pose head and the layers between it and the encoder."""
        return [module for module in (self.core, self.pose) if module is not None]

    def forward_stacks(self, images: Tensor) -> list[StackOutput]:
        """Compute the one output that training supervises.

        Args:
            images: the batch.

        Returns:
            A list of one :class:`StackOutput`.
        """
        pose, maps = self._features(images)
        seen = self._read(maps)
        return [StackOutput(pose, seen.landmarks, seen.points, seen.boundaries, maps, seen.log_density)]

    def _features(self, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        size = images.size(-1)
        if images.shape[1:] != (3, size, size) or size % 64 or not size:
            raise ValueError(f"images must be [B, 3, S, S] with S a multiple of 64, got {list(images.shape)}")
        seen = self.encoder(images if self.full_size else _half_size(images))  # unbounded, each of a scale of its own
        fourth, eighth, sixteenth, core = (norm(x) for norm, x in zip(self.norms, seen, strict=True))
        coarse = self.up8(self.up16(core, sixteenth), eighth)
        fine = self.up4(coarse, torch.cat([fourth, self.details(2 * images - 1)], dim=1))
        return self._estimate_pose(core), [coarse, fine]

    def _estimate_pose(self, core: Tensor) -> Tensor | None:
        if self.core is None or self.pose is None:
            return None
        out: Tensor = self.pose(self.core(core).mean(dim=(2, 3)))
        return out

    def _read(self, maps: list[Tensor]) -> LandmarkMaps:
        seen: LandmarkMaps = self.landmarks(maps[self.strides.index(self.heatmap_stride)])
        return seen
