"""One step of the cascade: from where the landmarks are to how they should move."""

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyspiga_geo.nn.convs import ConvFactory
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.mlp import NodeMLP
from pyspiga_geo.nn.relative_position import RelativePositionEncoder
from pyspiga_geo.nn.visual_window import HeatmapWindow, VisualWindow

BOUNDS = ("arctan", "hardtanh")
"""What may keep a displacement within half its window."""


class StepRegressor(nn.Module):
    r"""Regress a bounded displacement of every landmark.

    .. math::
        \mathbf{f}_i = \mathbf{v}_i + \mathbf{r}_i \;(+\, \mathbf{h}_i), \qquad
        \mathbf{f} \leftarrow \mathbf{f} + \mathrm{MLP}([\mathbf{f} \,\Vert\, \mathbf{m}]) \text{ per layer}, \qquad
        \Delta \mathbf{x}_i = \tfrac{w}{2} \, b(\mathrm{decoder}(\mathbf{f}_i))

    with b = (2 / pi) arctan (paper) or hardtanh (reference), and h_i, of which the paper knows nothing, what the
    landmark's own heatmap shows (:class:`HeatmapWindow`).

    Args:
        num_landmarks: L.
        feature_channels: channels of the feature map.
        window: w, side of the visual window as a fraction of the map; the displacement stays within
            [-w/2, w/2] in x and in y.
        node_channels: size of the node features f = v + r.
        hidden_channels: size of the node features after the first layer.
        num_layers: graph layers.
        samples: points along each side of the visual window.
        conv: graph operator, see :func:`pyspiga_geo.nn.make_conv`.
        bound: ``"arctan"`` or ``"hardtanh"``.
        heatmap_windows: whether each landmark also looks at its own heatmap.
        **conv_options: ``heads``, ``include_self``, ``scale``, ``out_proj`` of the graph operator.

    Shapes:
        - **pos**: ``[B, L, 2]``, (x, y) over the crop, pixel index divided by resolution
        - **feature_map**: ``[B, C, H, W]``
        - **edge_index**: ``[2, E]`` over the L landmarks, or None (complete graph)
        - **heatmaps**: ``[B, L, H, W]``, logarithm of a density, where heatmap_windows is set
        - **output**: ``[B, L, 2]``, displacement in the units of pos
    """

    def __init__(
        self,
        num_landmarks: int,
        feature_channels: int,
        window: float,
        node_channels: int = 512,
        hidden_channels: int = 256,
        num_layers: int = 4,
        samples: int = 7,
        conv: str | ConvFactory = "attention",
        bound: str = "arctan",
        heatmap_windows: bool = False,
        **conv_options: Any,
    ) -> None:
        super().__init__()
        if bound not in BOUNDS:
            raise ValueError(f"unknown bound {bound!r}; known: {', '.join(BOUNDS)}")
        self.window = window
        self.bound_kind = bound
        self.visual = VisualWindow(feature_channels, node_channels, samples)
        # Heatmaps are narrower than features are smooth: twice as dense a grid.
        self.own = HeatmapWindow(node_channels, 2 * samples - 1) if heatmap_windows else None
        self.relative = RelativePositionEncoder(num_landmarks, node_channels)
        widths = [node_channels] + [hidden_channels] * num_layers
        self.blocks = nn.ModuleList(
            GraphBlock(before, after, conv, **conv_options) for before, after in pairwise(widths)
        )
        narrowing = [max(hidden_channels // divisor, 2) for divisor in (1, 2, 4, 8)]
        self.decoder = NodeMLP([widths[-1], *narrowing, 2])

    def forward(
        self,
        pos: Tensor,
        feature_map: Tensor,
        edge_index: Tensor | None = None,
        return_attention: bool = False,
        heatmaps: Tensor | None = None,
    ) -> Any:
        """Return the displacement; with ``return_attention`` also a list of the layers' attention."""
        x = self.visual(feature_map, pos, self.window) + self.relative(pos)  # f = v + r
        if self.own is not None:
            x = x + self.own(heatmaps, pos, self.window)
        attention = []
        for block in self.blocks:  # f <- f + MLP([f || m])
            if return_attention:
                x, alpha = block(x, edge_index, return_attention_weights=True)
                attention.append(alpha)
            else:
                x = block(x, edge_index)
        displacement = self.bound(self.decoder(x))
        return (displacement, attention) if return_attention else displacement

    def bound(self, offset: Tensor) -> Tensor:
        """Squeeze an unbounded offset into [-w/2, w/2]."""
        if self.bound_kind == "arctan":
            unit = torch.atan(offset) * (2 / math.pi)
        else:
            unit = F.hardtanh(offset)
        return unit * (self.window / 2)
