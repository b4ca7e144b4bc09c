"""One step of the cascade: from where the landmarks are to how they should move."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

BOUNDS = ("arctan", "hardtanh")
"""What may keep a displacement within half its window."""


class StepOutput(NamedTuple):
    """What a step returns; ``[N, ...]`` where the positions were ``[N, d]``."""

    move: Tensor
    """Displacement [B, L, d] in the units of pos."""
    x: Tensor
    """Node features [B, L, C] after the last layer."""
    attention: list[Any]
    """Attention of each layer, where it was asked for."""


class StepRegressor(nn.Module):
    r"""Regress a bounded displacement of every landmark.

    .. math::
        \mathbf{f}_i = \mathbf{v}_i + \mathbf{r}_i \;(+\, \mathbf{h}_i + \mathbf{x}_i), \qquad
        \mathbf{f} \leftarrow \mathbf{f} + \mathrm{MLP}([\mathbf{f} \,\Vert\, \mathbf{m}]) \text{ per layer}, \qquad
        \Delta \mathbf{x}_i = \tfrac{w}{2} \, b(\mathrm{decoder}(\mathbf{f}_i))

    with b = (2 / pi) arctan (paper) or hardtanh (reference). Not in the paper: h_i, the landmark's own heatmap
    (:class:`HeatmapWindow`), and x_i, features that the caller gives.

    Args:
        visual: ``visual(feature_map, pos, window)`` -> [B, L, C], usually a :class:`VisualWindow`.
        position: ``position(pos, edge_index, mask=mask, batch=batch)`` -> [..., C], see :func:`make_position`.
        blocks: graph layers, see :class:`GraphBlock`; the first takes C.
        decoder: ``decoder(x, mask)`` -> [..., d], see :class:`NodeMLP`.
        bound: ``"arctan"`` or ``"hardtanh"``.
        own: ``own(heatmaps, pos, window)`` -> [B, L, C], usually a :class:`HeatmapWindow`.
        extra: map of the caller's features to [..., C].

    Shapes:
        - **pos**: ``[B, L, d]``, pixel index divided by resolution; or ``[N, d]`` with ``batch`` [N] and edges
        - **feature_map**: ``[B, C, H, W]``, or ``[B, C, D, H, W]`` where d is 3
        - **window**: side of the visual window as a fraction of the map; displacements stay within [-w/2, w/2]
        - **edge_index**: ``[2, E]`` over the L landmarks, or over the N nodes; None: the complete graph
        - **output**: :class:`StepOutput`

    Raises:
        ValueError: for an unknown bound.
    """

    def __init__(
        self,
        visual: nn.Module,
        position: nn.Module,
        blocks: Sequence[nn.Module],
        decoder: nn.Module,
        *,
        bound: str = "arctan",
        own: nn.Module | None = None,
        extra: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if bound not in BOUNDS:
            raise ValueError(f"unknown bound {bound!r}; known: {', '.join(BOUNDS)}")
        self.bound_kind = bound
        self.visual = visual
        self.own = own
        self.extra = extra
        self.relative = position  # the name that weights files know
        self.blocks = nn.ModuleList(blocks)
        self.decoder = decoder

    def forward(
        self,
        pos: Tensor,
        feature_map: Tensor,
        window: float,
        edge_index: Tensor | None = None,
        *,
        batch: Tensor | None = None,
        x: Tensor | None = None,
        edge_attr: Tensor | None = None,
        mask: Tensor | None = None,
        heatmaps: Tensor | None = None,
        return_attention: bool = False,
    ) -> StepOutput:
        """Return displacement and node features; with ``return_attention`` also the layers' attention."""
        f = self._look(pos, feature_map, window, heatmaps, batch)
        f = f + self.relative(pos, edge_index, mask=mask, batch=batch).to(f.dtype)  # f = v + r
        if self.extra is not None and x is not None:
            f = f + self.extra(x.to(f.dtype))
        attention: list[Any] = []
        for block in self.blocks:  # f <- f + MLP([f || m])
            out = block(
                f,
                edge_index,
                edge_attr=edge_attr,
                mask=mask,
                batch=batch,
                return_attention_weights=return_attention,
            )
            f, *alpha = out if return_attention else (out,)
            attention += alpha
        return StepOutput(self.bound(self.decoder(f, mask), window).to(pos.dtype), f, attention)

    def _look(
        self, pos: Tensor, feature_map: Tensor, window: float, heatmaps: Tensor | None, batch: Tensor | None
    ) -> Tensor:
        """Windows on the map and on the heatmaps; the nodes of one batch look at the maps of their items."""
        rows = None
        if batch is not None:
            pos, rows = to_dense_batch(pos, batch, batch_size=feature_map.size(0))
        seen: Tensor = self.visual(feature_map, pos, window)
        if self.own is not None:
            seen = seen + self.own(heatmaps, pos, window)
        return seen if rows is None else seen[rows]

    def bound(self, offset: Tensor, window: float) -> Tensor:
        """Squeeze an unbounded offset into [-w/2, w/2], in single precision or better."""
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        unit = torch.atan(offset) * (2 / math.pi) if self.bound_kind == "arctan" else F.hardtanh(offset)
        return unit * (window / 2)
