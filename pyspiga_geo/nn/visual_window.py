"""What the picture, and the heatmaps, look like around each landmark."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WindowGrid(nn.Module):
    """Where the samples of square windows lie on a map.

    A window of side w (a fraction of the map) is read at ``samples`` x ``samples`` points, spread evenly from the
    centre of its first map pixel to the centre of its last.
    """

    grid: Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        steps = torch.arange(samples) * 2 - (samples - 1)  # whole numbers, exact in every precision
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        self.register_buffer("grid", grid.reshape(-1, 2), persistent=False)
        self.samples = samples

    def forward(self, maps: Tensor, pos: Tensor, window: float) -> Tensor:
        """Points [B, L, samples^2, 2] around pos [B, L, 2] on maps [..., H, W], as grid_sample counts them."""
        height, width = maps.shape[-2:]
        size = pos.new_tensor([width, height])
        reach = (window - 1 / size).clamp(min=0) / 2  # from the landmark to the outermost samples
        points = pos.unsqueeze(2) + reach * self.grid / max(self.samples - 1, 1)
        # grid_sample counts -1..1 from edge to edge of the map, pos from the centre of its first pixel.
        return 2 * (points + 0.5 / size) - 1


class VisualWindow(nn.Module):
    """Sample a square window of the feature map around each landmark and map it to one vector.

    Bilinear, the map's border repeated outside of it. The samples are spread evenly from the centre of the window's
    first map pixel to the centre of its last; all together go through one linear map.

    Args:
        in_channels: channels C of the feature map.
        out_channels: size of a landmark's vector.
        samples: points along each side of the window.

    Shapes:
        - **feature_map**: ``[B, C, H, W]``
        - **pos**: ``[B, L, 2]``, (x, y) over the crop, pixel index divided by resolution
        - **output**: ``[B, L, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int, samples: int = 7) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels * samples**2, out_channels)
        self.grid = WindowGrid(samples)

    def forward(self, feature_map: Tensor, pos: Tensor, window: float) -> Tensor:
        """Look at windows of side ``window`` (fraction of the map) around ``pos``."""
        points = self.grid(feature_map, pos, window)
        seen = F.grid_sample(
            feature_map, points, padding_mode="border", align_corners=False
        )  # [B, C, L, samples^2]
        out: Tensor = self.lin(seen.transpose(1, 2).flatten(2))
        return out


class HeatmapWindow(nn.Module):
    r"""Sample a square window of each landmark's own heatmap and map it to one vector.

    A visual window shows every landmark the same features and leaves it to find its own among them; here each
    sees the one map that speaks of it. The map is taken as the logarithm of a density; with s_k its samples, one
    linear map reads

    .. math::
        \left[\operatorname{softmax}_k(s_k) \,\Vert\, \max(s_k - \log {\textstyle\sum_{map}} e^s, -10) / 10\right],

    the density within the window, whose mean is linear in it, and how much of the whole density lies there.

    Args:
        out_channels: size of a landmark's vector.
        samples: points along each side of the window.

    Shapes:
        - **heatmaps**: ``[B, L, H, W]``, logarithm of a density, up to a constant
        - **pos**: ``[B, L, 2]``, (x, y) over the crop, pixel index divided by resolution
        - **output**: ``[B, L, out_channels]``
    """

    def __init__(self, out_channels: int, samples: int = 7) -> None:
        super().__init__()
        self.lin = nn.Linear(2 * samples**2, out_channels)
        self.grid = WindowGrid(samples)

    def forward(self, heatmaps: Tensor, pos: Tensor, window: float) -> Tensor:
        """Look at windows of side ``window`` (fraction of the map) around ``pos``."""
        points = self.grid(heatmaps, pos, window)
        total = heatmaps.flatten(2).logsumexp(dim=2).unsqueeze(2)
        seen = F.grid_sample(
            heatmaps.flatten(0, 1).unsqueeze(1),
            points.flatten(0, 1).unsqueeze(1),
            padding_mode="border",
            align_corners=False,
        ).view(*points.shape[:3])  # [B, L, samples^2]
        out: Tensor = self.lin(torch.cat([seen.softmax(dim=2), (seen - total).clamp(min=-10) / 10], dim=2))
        return out
