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

    move: Tensor  # displacement [B, L, d] in the units of pos
    x: Tensor  # node features [B, L, C] after the last layer
    attention: list[Any]  # of each layer, where it was asked for


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
        position: ``position(pos, edge_index, mask=mask, batch=batch)`` -> [..., C], see :func:`make_position`; or None.
        blocks: graph layers, see :class:`GraphBlock`; the first takes C.
        decoder: ``decoder(x, mask)`` -> [..., d], see :class:`NodeMLP`.
        bound: ``"arctan"`` or ``"hardtanh"``.
        own: ``own(heatmaps, pos, window, total)`` -> [B, L, C], usually a :class:`HeatmapWindow`.
        extra: map of the caller's features to [..., C].

    Raises:
        ValueError: for an unknown bound.
    """

    def __init__(
        self,
        visual: nn.Module,
        position: nn.Module | None,
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
        total: Tensor | None = None,
        return_attention: bool = False,
    ) -> StepOutput:
        """Return displacements, within half a ``window``, node features and, on request, the layers' attention.

        The arguments are those of :class:`SPIGACascade`; ``pos`` [N, d] with ``batch`` needs edges of its own;
        ``total`` [B, L, 1] may spare :class:`HeatmapWindow` to sum the heatmaps in every step.
        """
        places, rows = (pos, None) if batch is None else to_dense_batch(pos, batch, batch_size=feature_map.size(0))
        f: Tensor = self.visual(feature_map, places, window)
        if self.own is not None:
            f = f + self.own(heatmaps, places, window, total)
        f = f if rows is None else f[rows]
        if self.relative is not None:  # f = v + r
            f = f + self.relative(pos, edge_index, mask=mask, batch=batch).to(f.dtype)
        if self.extra is not None and x is not None:
            f = f + self.extra(x.to(f.dtype))
        given: dict[str, Any] = {"edge_attr": edge_attr, "mask": mask, "batch": batch}
        attention: list[Any] = []
        for block in self.blocks:  # f <- f + MLP([f || m])
            out = block(f, edge_index, **given, return_attention_weights=return_attention)
            f, *alpha = out if return_attention else (out,)
            attention += alpha
        return StepOutput(self.bound(self.decoder(f, mask), window).to(pos.dtype), f, attention)

    def bound(self, offset: Tensor, window: float) -> Tensor:
        """Squeeze an unbounded offset into [-w/2, w/2], in single precision or better."""
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        unit = torch.atan(offset) * (2 / math.pi) if self.bound_kind == "arctan" else F.hardtanh(offset)
        return unit * (window / 2)
