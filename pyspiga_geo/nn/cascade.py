"""The cascade: a graph of landmarks is moved step by step over a feature map."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from pyspiga_geo.keywords import keyword_hint
from pyspiga_geo.nn.checks import check_shape
from pyspiga_geo.nn.convs import ConvFactory, make_conv
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.mlp import NodeMLP
from pyspiga_geo.nn.node_batch import NodeBatch, as_node_batch
from pyspiga_geo.nn.position import PositionFactory, make_position
from pyspiga_geo.nn.step_regressor import StepRegressor
from pyspiga_geo.nn.visual_window import HeatmapWindow, VisualWindow, log_total

SPACE = ("D", "H", "W")
"""Axes of a volume; a map has the last two."""


class CascadeOutput(NamedTuple):
    """Output of :class:`SPIGACascade`. Positions have the units and the shape of the given ``pos``.

    Example:
        >>> cascade = SPIGACascade(5, 8, num_steps=2, num_layers=1, heads=1, node_channels=8, hidden_channels=8)
        >>> out = cascade(torch.rand(2, 5, 2), torch.rand(2, 8, 16, 16), return_attention=True)
        >>> out.pos.shape, len(out.steps), out.attention[0].shape, out.x.shape
        (torch.Size([2, 5, 2]), 2, torch.Size([2, 1, 5, 5]), torch.Size([2, 5, 8]))
    """

    pos: Tensor
    """Final positions."""
    steps: list[Tensor]
    """Positions after each step; the last is ``pos``."""
    attention: list[Any] | None
    """On request, the attention of every layer of every step, in order: the dynamic adjacency. [B, heads, L, L], or
    (edge_index, alpha [E, heads]) where the nodes were given with edges of their own.
    """
    x: Tensor | None
    """Node features [..., hidden_channels] of the last step, for a head of your own; None without steps."""


# For torch.export.save.
_pytree._register_namedtuple(CascadeOutput, serialized_type_name="pyspiga_geo.nn.CascadeOutput")


class SPIGACascade(nn.Module):
    """Refine landmarks step by step: each adds a displacement, within windows that halve from step to step.

    The layer needs only positions and a feature map, of faces or of anything else.

    Args:
        num_landmarks: L, two or more; None for any number (position ``"pooled"`` or ``"none"``).
        feature_channels: channels C of the feature map; a sequence if each step has a map of its own.
        num_steps: K.
        num_layers: graph layers per step.
        heads: attention heads.
        conv: graph operator: ``"attention"``, ``"gcn"``, ``"gat"``, ``"gatv2"``, ``"sage"``, ``"gin"``,
            ``"transformer"``, ``"none"``, or a function (:func:`make_conv`); or a sequence, one per step.
        dim: 2 for maps, 3 for volumes.
        window: w of the first step as a fraction of the map; step t uses w / 2^t and moves at most half of it. A
            sequence gives the window of each step.
        position: position encoding: ``"ordered"`` (paper, :class:`RelativePositionEncoder`), ``"learned"``
            (:class:`LearnedPosition`), ``"pooled"`` (:class:`PooledPositionEncoder`), ``"none"``, a function
            (channels) -> module, or a module.
        in_channels: size of extra node features ``x``, 0 for none.
        edge_dim: size of edge features, for operators that take them.
        norm: normalisation in the MLPs (:class:`NodeMLP`): ``"batch_norm"`` (paper), ``"layer_norm"`` or ``"none"``.
        pre_norm: layer-normalise the vectors of the windows and the input of each graph layer (in neither paper nor
            reference). Without it features and similarities may grow until each landmark attends to one other only.
        dropout: of attention weights.
        share_steps: use one set of weights for all steps.
        node_channels: size of the node features f = v + r.
        hidden_channels: size of the node features after the first layer.
        samples: points along each side of the visual window.
        bound: ``"arctan"`` (paper) or ``"hardtanh"`` (reference).
        include_self: whether a landmark attends to itself (reference: yes; paper: no).
        scale: divide the similarity by the root of a head's channels (reference: yes; paper: no).
        out_proj: linear map of the concatenated messages (reference: yes; paper: no).
        heatmap_windows: whether each landmark also samples a heatmap of its own (in neither paper nor reference).

    Shapes:
        - **pos**: (x, y) or (x, y, z) over the map, 0..1 (pixel index / resolution): ``[B, L, d]``; ``[1, L, d]``, one
          start for all; ``[B * L, d]``; or ``[N, d]`` with ``batch`` [N] if graphs differ in size
        - **feature_map**: ``[B, C, H, W]`` (``[B, C, D, H, W]`` if dim is 3), or a sequence of K such maps
        - **edge_index**: None (complete graphs); with pos ``[B, L, d]`` ``[2, E]`` over the L landmarks, the same graph
          for every item; with ``[N, d]`` over the N nodes, as in a PyG ``Batch``
        - **batch**: ``[N]`` int64, sorted: the item of each node, for pos ``[N, d]``
        - **x**: extra node features, one row per row of pos
        - **edge_attr**: as the graph operator takes it (:class:`LandmarkAttention`)
        - **mask**: bool, one per row of pos: False for landmarks that do not exist. They send no messages and keep
          their positions
        - **heatmaps**: ``[B, L, H, W]``, logarithm of a density per landmark, if heatmap_windows is set
        - **output**: :class:`CascadeOutput`

    Raises:
        ValueError: if settings or shapes do not fit; the message names the argument.

    Example:
        >>> cascade = SPIGACascade(5, feature_channels=8, heads=1, node_channels=16, hidden_channels=16)
        >>> cascade(torch.rand(2, 5, 2), torch.rand(2, 8, 16, 16)).pos.shape
        torch.Size([2, 5, 2])
    """

    @keyword_hint
    def __init__(
        self,
        num_landmarks: int | None,
        feature_channels: int | Sequence[int],
        num_steps: int = 3,
        num_layers: int = 4,
        heads: int = 4,
        conv: str | ConvFactory | Sequence[str | ConvFactory] = "attention",
        *,
        dim: int = 2,
        window: float | Sequence[float] = 0.25,
        position: str | PositionFactory = "ordered",
        in_channels: int = 0,
        edge_dim: int | None = None,
        norm: str = "batch_norm",
        pre_norm: bool = False,
        dropout: float = 0.0,
        share_steps: bool = False,
        node_channels: int = 512,
        hidden_channels: int = 256,
        samples: int = 7,
        bound: str = "arctan",
        include_self: bool = False,
        scale: bool = False,
        out_proj: bool = False,
        heatmap_windows: bool = False,
    ) -> None:
        super().__init__()
        least = {"num_steps": 0, "num_layers": 0, "in_channels": 0, "node_channels": 1, "hidden_channels": 1}
        sizes = (num_steps, num_layers, in_channels, node_channels, hidden_channels)
        for (name, smallest), size in zip(least.items(), sizes, strict=True):
            if size < smallest:
                raise ValueError(f"{name} must be {smallest} or more, got {size}")
        if dim not in (2, 3):
            raise ValueError(f"dim must be 2 or 3, got {dim}")
        self.num_landmarks = num_landmarks
        self.dim = dim
        self.in_channels = in_channels
        self.heatmap_windows = heatmap_windows
        self.num_steps = num_steps
        self.feature_channels = _per_step("feature_channels", feature_channels, num_steps)
        shrinking = 1.0 if isinstance(window, Sequence) else 0.5
        windows = _per_step("window", window, num_steps)
        self.windows = [float(w) * shrinking**t for t, w in enumerate(windows)]
        if not all(math.isfinite(w) and w > 0 for w in self.windows):
            raise ValueError(f"window must be positive, got {window}")
        kinds = list(zip(self.feature_channels, _per_step("conv", conv, num_steps), strict=True))
        if share_steps and len(set(kinds)) > 1:
            raise ValueError("share_steps needs the same conv and the same feature_channels in every step")

        options: dict[str, Any] = {"heads": heads, "edge_dim": edge_dim, "dropout": dropout}
        options |= {"include_self": include_self, "scale": scale, "out_proj": out_proj}
        widths = [node_channels] + [hidden_channels] * num_layers
        narrowing = [max(hidden_channels // divisor, 2) for divisor in (1, 2, 4, 8)]

        def step(channels: int, operator: str | ConvFactory) -> StepRegressor:
            factory = make_conv(operator, **options)
            return StepRegressor(
                VisualWindow(channels, node_channels, samples, dim=dim, norm=pre_norm),
                make_position(position, num_landmarks, node_channels, dim, norm),
                [GraphBlock(before, after, factory, norm, pre_norm=pre_norm) for before, after in pairwise(widths)],
                NodeMLP([widths[-1], *narrowing, dim], norm),
                bound=bound,
                # Heatmaps are narrower than features are smooth: twice as dense a grid.
                own=HeatmapWindow(node_channels, 2 * samples - 1, dim=dim, norm=pre_norm) if heatmap_windows else None,
                extra=nn.Linear(in_channels, node_channels) if in_channels else None,
            )

        self.steps = nn.ModuleList(step(*kind) for kind in (kinds[:1] if share_steps else kinds))

    @keyword_hint
    def forward(
        self,
        pos: Tensor,
        feature_map: Tensor | Sequence[Tensor],
        edge_index: Tensor | None = None,
        *,
        batch: Tensor | None = None,
        x: Tensor | None = None,
        edge_attr: Tensor | None = None,
        mask: Tensor | None = None,
        heatmaps: Tensor | None = None,
        detach_steps: bool = False,
        return_attention: bool = False,
    ) -> CascadeOutput:
        """Refine ``pos`` over ``feature_map``; the class lists the shapes.

        Positions are computed in single precision or better, whatever the precision of the layers.

        Args:
            pos: initial positions x_0.
            feature_map: one map, or one per step.
            edge_index: edges between landmarks. Default: the complete graph.
            batch: the item of each node.
            x: extra node features.
            edge_attr: edge features.
            mask: landmarks that exist. Default: all.
            heatmaps: one per landmark.
            detach_steps: stop the gradient between steps and into ``pos``, so that each step learns by itself.
            return_attention: also return the attention weights.

        Raises:
            ValueError: if shapes do not fit; the message names the argument.
        """
        maps, batch_size = self._maps(feature_map)
        pos = pos.to(torch.promote_types(pos.dtype, torch.float32))
        sizes = self.num_landmarks, self.dim, self.in_channels
        nodes = as_node_batch(pos, edge_index, batch_size, sizes, batch, x, mask)
        heatmaps = self._heatmaps(heatmaps, nodes, batch_size)
        given: dict[str, Any] = {"x": nodes.x, "edge_attr": edge_attr, "heatmaps": heatmaps}
        if heatmaps is not None:  # once for all steps
            given["total"] = log_total(heatmaps.to(torch.promote_types(heatmaps.dtype, pos.dtype)))
        given |= {"batch": nodes.batch, "mask": nodes.mask, "return_attention": return_attention}
        pos, features = nodes.pos, None
        steps: list[Tensor] = []
        attention: list[Any] = []
        for number, (feature, window) in enumerate(zip(maps, self.windows, strict=True)):
            step = self.steps[min(number, len(self.steps) - 1)]
            pos = pos.detach() if detach_steps else pos
            move, features, alphas = step(pos, feature, window, nodes.edge_index, **given)
            pos = pos + move  # x_t = x_{t-1} + dx_t
            attention += alphas
            steps.append(nodes.moved(pos))
        last = None if features is None else nodes.features(features)
        return CascadeOutput(nodes.moved(pos), steps, attention if return_attention else None, last)

    def _maps(self, feature_map: Any) -> tuple[list[Tensor], int]:
        """One map per step, and the number of items."""
        one = isinstance(feature_map, Tensor)
        maps = _per_step("feature_map", feature_map, self.num_steps)
        batch_size = (feature_map if one else maps[0]).size(0)
        for step, (each, channels) in enumerate(zip(maps, self.feature_channels, strict=True)):
            shape = [batch_size if step else "B", channels, *SPACE[-self.dim :]]
            check_shape("feature_map" if one else f"feature_map[{step}]", each, shape)
        return maps, batch_size

    def _heatmaps(self, heatmaps: Tensor | None, nodes: NodeBatch, batch_size: int) -> Tensor | None:
        """Check heatmaps; those of landmarks that do not exist are blank."""
        if (heatmaps is not None) != self.heatmap_windows:
            wanted = "needs" if self.heatmap_windows else "has no windows on"
            raise ValueError(f"this cascade {wanted} heatmaps (heatmap_windows={self.heatmap_windows})")
        if heatmaps is not None:
            present = nodes.present(batch_size)
            check_shape("heatmaps", heatmaps, [*present.shape, *SPACE[-self.dim :]])
            if nodes.mask is not None or nodes.batch is not None:
                heatmaps = heatmaps.masked_fill(~present[(...,) + (None,) * self.dim], 0)
        return heatmaps


def _per_step(name: str, value: Any, num_steps: int) -> list[Any]:
    """One value per step; a single one serves all."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * num_steps
    if len(value) != num_steps:
        raise ValueError(f"{name} must be one or {num_steps}, one per step, got {len(value)}")
    return list(value)
