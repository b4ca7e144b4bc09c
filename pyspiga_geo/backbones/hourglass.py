"""Convolutional building blocks of the backbone (Newell et al., "Stacked Hourglass Networks", 2016)."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias, padding (kernel - 1) // 2."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, bias=False)


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, kernel, stride)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H / stride, W / stride]."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class UpBlock(nn.Module):
    """Transposed convolution that doubles the map, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(channels, channels, 2, 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, 2 H, 2 W]."""
        return F.relu(self.bn(self.deconv(x)), inplace=True)


class Residual(nn.Module):
    """Pre-activation bottleneck: three times batch norm, ReLU, convolution (1, 3, 1), plus the skip."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = out_channels // 2
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, middle, 1)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv2 = conv(middle, middle, 3)
        self.bn3 = nn.BatchNorm2d(middle)
        self.conv3 = conv(middle, out_channels, 1)
        same = in_channels == out_channels
        self.skip: nn.Module = nn.Identity() if same else conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H, W]."""
        y = self.conv1(F.relu(self.bn1(x), inplace=True))
        y = self.conv2(F.relu(self.bn2(y), inplace=True))
        y = self.conv3(F.relu(self.bn3(y), inplace=True))
        out: Tensor = y + self.skip(x)
        return out


class Hourglass(nn.Module):
    """Halve the map ``depth`` times and enlarge it again, with a residual skip connection at every scale.

    Returns the map [B, C, H, W] and the core [B, C, H / 2^depth, W / 2^depth], the innermost features.
    """

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.up1 = Residual(channels, channels)
        self.pool1 = ConvBlock(channels, channels, 2, 2)
        self.low1 = Residual(channels, channels)
        self.low2: Hourglass | Residual = Hourglass(depth - 1, channels) if depth > 1 else Residual(channels, channels)
        self.low3 = Residual(channels, channels)
        self.up2 = UpBlock(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (map, core)."""
        low = self.low1(self.pool1(x))
        inner = self.low2(low)
        low, core = inner if isinstance(inner, tuple) else (inner, inner)
        return self.up1(x) + self.up2(self.low3(low)), core
