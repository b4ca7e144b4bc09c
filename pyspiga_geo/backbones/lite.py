"""EfficientNet-Lite, an encoder for images.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, without
squeeze-and-excitation and with ReLU6, as TensorFlow published it for small processors.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

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
"""Kernel, stride of the first block, expansion, channels and number of blocks of each stage of lite0."""
VARIANTS = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}
"""Factors of the channels and of the numbers of blocks."""


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
    """Widen (1 x 1), filter each channel separately, narrow (1 x 1); plus the input if the shape stays the same.

    With stochastic depth, a face in training gets its input alone with probability ``drop_path``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.expand = LiteConv(in_channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = LiteConv(wide, wide, kernel, stride, groups=wide)
        self.project = LiteConv(wide, out_channels, 1, act=False)
        self.residual = stride == 1 and in_channels == out_channels
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H / stride, W / stride]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        if not self.residual:
            return y
        if self.training and self.drop_path:
            kept = 1 - self.drop_path
            y = y * y.new_empty(len(y), 1, 1, 1).bernoulli_(kept).div_(kept)
        return x + y


class LiteEncoder(nn.Module):
    """EfficientNet-Lite without its classifier: four maps, each of half the side of the one before.

    Args:
        variant: ``"lite0"`` or ``"lite2"``, which is 1.1 times as wide and 1.2 times as deep.
        deep: all blocks, down to 1/32 of the side. Default: those down to 1/16.
        drop_path: stochastic depth (Huang et al., "Deep Networks with Stochastic Depth", 2016): the probability with
            which the last block is left out in training; it rises linearly from 0 at the first.

    Shapes:
        - **images**: ``[B, 3, H, W]``, float RGB in 0..1, H and W multiples of 16 (of 32 if deep)
        - **output**: four maps of the channels in the attribute ``channels``, and 1/2, 1/4, 1/8 and 1/16 of the sides;
          if deep, 1/4, 1/8, 1/16 and 1/32

    Raises:
        ValueError: for an unknown variant, or a drop_path outside 0..1.

    Example:
        >>> import torch
        >>> [tuple(m.shape[1:]) for m in LiteEncoder()(torch.rand(2, 3, 32, 32))]
        [(16, 16, 16), (24, 8, 8), (40, 4, 4), (112, 2, 2)]
        >>> [tuple(m.shape[1:]) for m in LiteEncoder("lite2", deep=True)(torch.rand(2, 3, 32, 32))]
        [(24, 8, 8), (48, 4, 4), (120, 2, 2), (352, 1, 1)]
    """

    def __init__(self, variant: str = "lite0", deep: bool = False, drop_path: float = 0.0) -> None:
        super().__init__()
        if not isinstance(variant, str) or variant not in VARIANTS:
            raise ValueError(f"encoder must be one of {', '.join(VARIANTS)}, got {variant!r}")
        if not isinstance(drop_path, int | float) or not 0 <= drop_path < 1:
            raise ValueError(f"drop_path must be 0 or more and less than 1, got {drop_path!r}")
        self.variant = variant
        self.stem = LiteConv(3, STEM_CHANNELS, 3, 2)
        shapes, self.taps = _blocks(*VARIANTS[variant], deep)
        self.blocks = nn.ModuleList(
            InvertedResidual(*shape, drop_path * index / (len(shapes) - 1)) for index, shape in enumerate(shapes)
        )
        self.channels = tuple(shapes[index][1] for index in self.taps)

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


def _blocks(width: float, depth: float, deep: bool) -> tuple[list[tuple[int, int, int, int, int]], list[int]]:
    """Input and output channels, kernel, stride and expansion of each block; the last blocks of the four map sizes."""
    stages = STAGES if deep else STAGES[:-2]
    shapes: list[tuple[int, int, int, int, int]] = []
    ends: list[int] = []
    inside = STEM_CHANNELS
    for number, (kernel, stride, expansion, channels, count) in enumerate(stages):
        outside = 8 * math.floor(width * channels / 8 + 0.5)
        if shapes and stride > 1:
            ends.append(len(shapes) - 1)
        for index in range(count if number in (0, len(STAGES) - 1) else math.ceil(depth * count)):
            shapes.append((inside, outside, kernel, 1 if index else stride, expansion))
            inside = outside
    return shapes, [*ends, len(shapes) - 1][-4:]
