"""An encoder-decoder backbone: context from a half-size image, details from the full-size image.

The encoder is an EfficientNet-Lite (:mod:`pyspiga_geo.backbones.lite`), which can start from ImageNet weights
(:mod:`pyspiga_geo.backbones.imagenet`). A small model reads the image at half size: the depthwise convolutions of the
encoder are bound by memory and would take most of the time at full size. The decoder has plain 3 x 3 convolutions, the
fastest kind on most processors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyspiga_geo.backbones.heads import LandmarkHead, LandmarkMaps, PoseHead
from pyspiga_geo.backbones.hourglass import ConvBlock, conv
from pyspiga_geo.backbones.lite import LiteEncoder
from pyspiga_geo.backbones.protocol import BackboneOutput, StackOutput


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
        full_size: the encoder has one map more, at 1/32, and reads the image at full size. Default: at half size, at a
            quarter of the work.
        encoder: the variant of :class:`LiteEncoder`.
        drop_path: its stochastic depth.

    Shapes:
        - **images**: ``[B, 3, S, S]``, float RGB in 0..1, S a multiple of 32
        - **output**: :class:`BackboneOutput`, maps of S / 8 x S / 8 and S / 4 x S / 4

    Raises:
        ValueError: for another heatmap_stride, a full_size that is no bool, or encoder settings that
            :class:`LiteEncoder` refuses; when called, for images of another shape.

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
        encoder: str = "lite0",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if heatmap_stride not in self.strides:
            raise ValueError(f"heatmap_stride must be 8 or 4, got {heatmap_stride}")
        if not isinstance(full_size, bool):
            raise ValueError(f"full_size must be true or false, got {full_size!r}")
        self.channels = channels
        self.heatmap_stride = heatmap_stride
        coarse, fine = channels
        self.full_size = full_size
        self.encoder = LiteEncoder(encoder, full_size, drop_path)
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
        if images.shape[1:] != (3, size, size) or size % 32 or not size:
            raise ValueError(f"images must be [B, 3, S, S] with S a multiple of 32, got {list(images.shape)}")
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
