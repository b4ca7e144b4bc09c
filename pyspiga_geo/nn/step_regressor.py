"""One step of the cascade: from the positions of the landmarks to their displacements."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

BOUNDS = ("arctan", "hardtanh")
"""Functions that keep a displacement within half its window."""


class StepOutput(NamedTuple):
    """Output of :class:`StepRegressor`; ``[N, ...]`` if the positions were ``[N, d]``.

    Example:
        >>> from pyspiga_geo.nn import SPIGACascade
        >>> step = SPIGACascade(5, 8, num_layers=1, heads=1, node_channels=8, hidden_channels=8).steps[0]
        >>> move, x, attention = step(torch.rand(2, 5, 2), torch.rand(2, 8, 16, 16), 0.25)
        >>> move.shape, x.shape, attention
        (torch.Size([2, 5, 2]), torch.Size([2, 5, 8]), [])
    """

    move: Tensor
    """[B, L, d]: displacements in the units of the positions."""
    x: Tensor
    """[B, L, C]: node features after the last layer."""
    attention: list[Any]
    """Attention of each layer, if it was requested."""


class StepRegressor(nn.Module):
    r"""Regress a bounded displacement of every landmark.

    .. math::
        \mathbf{f}_i = \mathbf{v}_i + \mathbf{r}_i \;(+\, \mathbf{h}_i + \mathbf{x}_i), \qquad
        \mathbf{f} \leftarrow \mathbf{f} + \mathrm{MLP}([\mathbf{f} \,\Vert\, \mathbf{m}]) \text{ per layer}, \qquad
        \Delta \mathbf{x}_i = \tfrac{w}{2} \, b(\mathrm{decoder}(\mathbf{f}_i))

    with b = (2 / pi) arctan (paper) or hardtanh (reference). Not in the paper: h_i, from the landmark's own heatmap
    (:class:`HeatmapWindow`), and x_i, from extra features given by the caller.

    Args:
        visual: ``visual(feature_map, pos, window)`` -> [B, L, C], usually a :class:`VisualWindow`.
        position: ``position(pos, edge_index, mask=mask, batch=batch)`` -> [..., C], see :func:`make_position`; or None.
        blocks: graph layers, see :class:`GraphBlock`; the first takes C channels.
        decoder: ``decoder(x, mask)`` -> [..., d], see :class:`NodeMLP`.
        bound: ``"arctan"`` or ``"hardtanh"``.
        own: ``own(heatmaps, pos, window, total)`` -> [B, L, C], usually a :class:`HeatmapWindow`.
        extra: map of the caller's features to [..., C].

    Raises:
        ValueError: for an unknown bound.

    Example:
        >>> from pyspiga_geo.nn import GraphBlock, NodeMLP, RelativePositionEncoder, VisualWindow
        >>> position = RelativePositionEncoder(5, 16)
        >>> step = StepRegressor(VisualWindow(8, 16), position, [GraphBlock(16, 16)], NodeMLP([16, 2]))
        >>> move = step(torch.rand(2, 5, 2), torch.rand(2, 8, 16, 16), window=0.25).move
        >>> move.shape, (move.abs() < 0.125).all()  # within half of the window
        (torch.Size([2, 5, 2]), tensor(True))
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
        """Compute displacements, node features and, on request, the layers' attention.

        Args:
            pos: positions [B, L, d], or [N, d] with ``batch`` and edges of their own.
            feature_map: [B, C, H, W] or [B, C, D, H, W].
            window: side of the window as a fraction of the map.
            edge_index: edges between landmarks. Default: the complete graph.
            batch: [N], the item of each node.
            x: features [..., in_channels] for ``extra``.
            edge_attr: edge features, as the layers take them.
            mask: bool, one per landmark. Default: all exist.
            heatmaps: [B, L, H, W] for ``own``.
            total: [B, L, 1], so that ``own`` need not sum the heatmaps in every step.
            return_attention: also return the attention of each layer.

        Returns:
            Displacements within half the window, features and attention.
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
        """Map an unbounded offset into [-w/2, w/2], in single precision or better.

        Args:
            offset: any shape.
            window: w.

        Returns:
            The bounded offset, of the same shape.
        """
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        unit = torch.atan(offset) * (2 / math.pi) if self.bound_kind == "arctan" else F.hardtanh(offset)
        return unit * (window / 2)
