"""What the picture looks like around each landmark."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VisualWindow(nn.Module):
    """Sample a square window of the feature map around each landmark and map it to one vector.

    A window of side w (a fraction of the map) is read at ``samples`` x ``samples`` points, spread evenly from the
    centre of its first map pixel to the centre of its last, bilinear, the map's border repeated outside of it.
    All samples together go through one linear map.

    Args:
        in_channels: channels C of the feature map.
        out_channels: size of a landmark's vector.
        samples: points along each side of the window.

    Shapes:
        - **feature_map**: ``[B, C, H, W]``
        - **pos**: ``[B, L, 2]``, (x, y) over the crop, pixel index divided by resolution
        - **output**: ``[B, L, out_channels]``
    """

    grid: Tensor

    def __init__(self, in_channels: int, out_channels: int, samples: int = 7) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels * samples**2, out_channels)
        steps = torch.arange(samples) * 2 - (samples - 1)  # whole numbers, exact in every precision
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        self.register_buffer("grid", grid.reshape(-1, 2), persistent=False)
        self.samples = samples

    def forward(self, feature_map: Tensor, pos: Tensor, window: float) -> Tensor:
        """Look at windows of side ``window`` (fraction of the map) around ``pos``."""
        height, width = feature_map.shape[-2:]
        size = pos.new_tensor([width, height])
        reach = (window - 1 / size) / 2  # from the landmark to the outermost samples
        points = pos.unsqueeze(2) + reach * self.grid / max(self.samples - 1, 1)  # [B, L, samples^2, 2]
        # grid_sample counts -1..1 from edge to edge of the map, pos from the centre of its first pixel.
        seen = F.grid_sample(
            feature_map, 2 * (points + 0.5 / size) - 1, padding_mode="border", align_corners=False
        )  # [B, C, L, samples^2]
        out: Tensor = self.lin(seen.transpose(1, 2).flatten(2))
        return out
