"""Windows of the feature map, and of heatmaps, around each landmark."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sample_windows(maps: Tensor, pos: Tensor, window: float, samples: int) -> Tensor:
    """Read square (or cubic) windows of maps around positions, multilinear, with the border repeated outside.

    A window of side w (a fraction of the map) is read at ``samples`` points along each axis, spread evenly from the
    centre of its first map pixel to the centre of its last.

    Args:
        maps: [B, C, H, W], or volumes [B, C, D, H, W].
        pos: [B, L, d], (x, y) or (x, y, z) over the map, pixel index divided by resolution.
        window: w.
        samples: points along each axis.

    Returns:
        [B, C, L, samples^d], the last axis in the order of the maps' axes (x fastest).

    Example:
        >>> maps = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> sample_windows(maps, torch.tensor([[[0.25, 0.25]]]), window=0.75, samples=3).flatten().tolist()
        [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0]
    """
    dim = pos.size(-1)
    steps = torch.arange(1 - samples, samples, 2, device=pos.device, dtype=pos.dtype) / max(samples - 1, 1)
    # grid_sample counts -1..1 from edge to edge of the map, pos from the centre of its first pixel. Sizes stay
    # numbers, not tensors: an exported program can then have them vary, and a traced one keeps their precision.
    sizes = [int(size) for size in maps.shape[2:]] if torch.jit.is_tracing() else maps.shape[2:]  # type: ignore[attr-defined]
    axes = [steps * torch.sym_max(window - 1 / size, 0.0) + (1 / size - 1) for size in sizes]
    offsets = torch.stack([axis.flatten() for axis in reversed(torch.meshgrid(*axes, indexing="ij"))], dim=-1)
    points = offsets + (2 * pos).unsqueeze(2)  # [B, L, samples^d, d]
    grid = points if dim == 2 else points.unsqueeze(3)
    precise = torch.promote_types(maps.dtype, points.dtype)  # bfloat16 would be off by pixels
    seen = F.grid_sample(maps.to(precise), grid.to(precise), padding_mode="border", align_corners=False)
    return seen.flatten(3)


def log_total(heatmaps: Tensor) -> Tensor:
    """Logarithm of the sum of each density [B, L, 1], of heatmaps [B, L, H, W] or [B, L, D, H, W]."""
    return heatmaps.flatten(2).logsumexp(dim=2, keepdim=True)


class VisualWindow(nn.Module):
    """Sample a square window of the feature map around each landmark and map it to one vector.

    :func:`sample_windows`, then one linear map of all samples together.

    Args:
        in_channels: channels C of the feature map.
        out_channels: size of a landmark's vector.
        samples: points along each side of the window, one or more.
        dim: 2 for maps, 3 for volumes.
        norm: whether the vectors are layer-normalised.

    Shapes:
        - **feature_map**: ``[B, C, H, W]``, or ``[B, C, D, H, W]`` if dim is 3
        - **pos**: ``[B, L, d]``, (x, y) or (x, y, z) over the map, pixel index / resolution
        - **output**: ``[B, L, out_channels]``

    Raises:
        ValueError: for less than one sample.

    Example:
        >>> VisualWindow(8, 32)(torch.rand(2, 8, 16, 16), torch.rand(2, 68, 2), 0.25).shape
        torch.Size([2, 68, 32])
    """

    def __init__(
        self, in_channels: int, out_channels: int, samples: int = 7, *, dim: int = 2, norm: bool = False
    ) -> None:
        super().__init__()
        if samples < 1:
            raise ValueError(f"samples must be 1 or more, got {samples}")
        self.samples = samples
        self.lin = nn.Linear(in_channels * samples**dim, out_channels)
        self.norm = nn.LayerNorm(out_channels) if norm else nn.Identity()

    def forward(self, feature_map: Tensor, pos: Tensor, window: float) -> Tensor:
        """Sample windows and map them to vectors.

        Args:
            feature_map: the map.
            pos: centres of the windows.
            window: side of the windows as a fraction of the map.
        """
        seen = sample_windows(feature_map, pos, window, self.samples)  # [B, C, L, samples^d]
        return self._embed(seen.transpose(1, 2).flatten(2))

    def _embed(self, seen: Tensor) -> Tensor:
        vectors: Tensor = self.norm(self.lin(seen.to(self.lin.weight.dtype)))
        return vectors


class HeatmapWindow(VisualWindow):
    r"""Sample a square window of each landmark's own heatmap and map it to one vector.

    A visual window shows every landmark the same features; here each landmark sees the one map about itself:
    ``heatmaps``, the logarithms of densities, up to a constant. With s_k the samples of a landmark's map, one linear
    map reads

    .. math::
        \left[\operatorname{softmax}_k(s_k) \,\Vert\,
        \max(s_k - \log {\textstyle\sum_\mathrm{map}} e^s, -10) / 10\right],

    the density within the window, whose mean is linear in it, and the share of the whole density that lies there.

    Args:
        out_channels: size of a landmark's vector.
        samples: points along each side of the window, one or more.
        dim: 2 for maps, 3 for volumes.
        norm: whether the vectors are layer-normalised.

    Shapes:
        - **heatmaps**: ``[B, L, H, W]``, or ``[B, L, D, H, W]`` if dim is 3
        - **pos**: ``[B, L, d]``, (x, y) or (x, y, z) over the map, pixel index / resolution
        - **total**: ``[B, L, 1]``, logarithm of the sum of each density
        - **output**: ``[B, L, out_channels]``

    Example:
        >>> HeatmapWindow(32)(torch.rand(2, 68, 16, 16), torch.rand(2, 68, 2), 0.25).shape
        torch.Size([2, 68, 32])
    """

    def __init__(self, out_channels: int, samples: int = 7, *, dim: int = 2, norm: bool = False) -> None:
        super().__init__(2, out_channels, samples, dim=dim, norm=norm)

    def forward(self, heatmaps: Tensor, pos: Tensor, window: float, total: Tensor | None = None) -> Tensor:
        """Sample windows and map them to vectors.

        Args:
            heatmaps: one map per landmark.
            pos: centres of the windows.
            window: side of the windows as a fraction of the map.
            total: computed from the heatmaps if not given.
        """
        each = heatmaps.flatten(0, 1).unsqueeze(1)  # one map per landmark
        seen = sample_windows(each, pos.flatten(0, 1).unsqueeze(1), window, self.samples)
        seen = seen.view(*pos.shape[:2], seen.size(-1))  # [B, L, samples^d]
        total = log_total(heatmaps.to(seen.dtype)) if total is None else total.to(seen.dtype)
        return self._embed(torch.cat([seen.softmax(dim=2), (seen - total).clamp(min=-10) / 10], dim=2))
