"""Attention between landmarks: query, key, value."""

from typing import Any, Literal, Optional, overload

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.utils import is_torch_sparse_tensor, softmax, to_dense_batch
from torch_geometric.utils.sparse import to_edge_index

from pyspiga_geo.graph import batch_edges, complete_edges
from pyspiga_geo.keywords import keyword_hint
from pyspiga_geo.nn.attention_bias import edge_bias, open_isolated, with_diagonal
from pyspiga_geo.nn.checks import check_edges, check_mask, check_shape

Nodes = Tensor | tuple[Tensor, Tensor]
"""Node features, or (source, target) features."""

DENSE_PAIRS_PER_EDGE = 16
"""A static graph goes by its edges where it has fewer than one in so many pairs: ``benchmarks/cascade.py``."""


class LandmarkAttention(MessagePassing):
    r"""Dot-product attention with ``out_channels`` in total over all heads (PyG's attention layers count per head).

    The operator of `"Shape Preserving Facial Landmarks with Graph Attention Networks"
    <https://arxiv.org/abs/2210.07233>`_:

    .. math::
        \mathbf{m}_i = \sum_{j \neq i} \alpha_{ij} \mathbf{h}^v_j, \qquad
        \alpha_{ij} = \mathrm{softmax}_j \left( \mathbf{h}^q_i \cdot \mathbf{h}^k_j + b(\mathbf{e}_{ij}) \right)

    with query, key and value :math:`\mathbf{h}^{q,k,v}` affine maps of the node features and, with ``edge_dim``,
    :math:`b` a linear map of the edge features to one number per head. The channels are split into contiguous
    groups, one per head, and the messages are concatenated.

    Without edges the graph is complete and computed densely by
    :func:`torch.nn.functional.scaled_dot_product_attention`; a graph shared by a batch ``[B, L, C]`` becomes a bias
    of the same call, or is propagated where it has few edges; edges over ``[N, C]`` are propagated as everywhere
    in PyG. All paths agree. Hooks of :class:`~torch_geometric.nn.MessagePassing` and explainers see ``[N, C]`` with
    edges. For gradients of gradients, run the dense paths under
    ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``: the fused kernels have none.

    Args:
        in_channels: size of each node's features, or (source, target) for attention between two sets.
        out_channels: size of each node's message, over all heads together.
        heads: number of heads; must divide ``out_channels``.
        include_self: whether a landmark attends to itself too. Self-loops in ``edge_index`` are ignored: this
            argument decides. Two sets have no self-loops: there it has no effect.
        scale: divide the similarity by :math:`\sqrt{d}`, d the channels of a head (reference: yes; paper: no).
        out_proj: follow the concatenated messages by a linear map (reference: yes; paper: no).
        edge_dim: size of the edge features. A node's attention to itself has none.
        dropout: probability with which an attention weight is dropped in training.

    Shapes:
        - **x**: ``[N, C]``; a static graph ``[B, L, C]``, the same for every item of the batch; or a pair
          ``(x_src, x_dst)`` of either kind
        - **edge_index**: ``[2, E]`` (source, target), or a sparse ``adj_t``, whose values are ignored; None: the
          complete graph
        - **edge_attr**: ``[E, edge_dim]``, of a static graph also ``[B, E, edge_dim]``; of the complete graph
          ``[L, L, edge_dim]`` or ``[B, L, L, edge_dim]`` (target, source)
        - **mask**: ``[B, L]`` (of ``[N, C]``: ``[N]``) bool, the nodes that exist; of a pair, a pair of masks or Nones
        - **batch**: ``[N]`` sorted, the item of each node of ``[N, C]``: without edges, a complete graph within each
          item. Of a pair, a pair of them. With edges it is not needed
        - **output**: like x (of a pair: like x_dst) with ``out_channels``. Nodes without a neighbour, and those that
          do not exist, receive a zero message
        - **attention**: ``[heads, N, N]`` or ``[B, heads, L, L]``, row i over the sources j; with ``batch``
          ``[B, heads, L_max, L_max]``; for ``[N, C]`` with edges ``(edge_index, alpha [E, heads])`` as in PyG

    Raises:
        ValueError: when ``heads`` does not divide ``out_channels``, a shape does not fit, an edge leaves the graph,
            or an explainer asks for more than edges over ``[N, C]``, or for self-loops that include_self switches off.

    Example:
        >>> attention = LandmarkAttention(16, 32, heads=4)
        >>> attention(torch.rand(8, 68, 16)).shape
        torch.Size([8, 68, 32])
    """

    static_graphs = True
    """Takes [B, L, C] itself, so :class:`~pyspiga_geo.nn.StaticGraphConv` hands it on as it is."""

    @keyword_hint
    def __init__(
        self,
        in_channels: int | tuple[int, int],
        out_channels: int,
        heads: int = 1,
        *,
        include_self: bool = False,
        scale: bool = False,
        out_proj: bool = False,
        edge_dim: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        if heads < 1 or out_channels % heads:
            raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in 0..1, less than 1, got {dropout}")
        super().__init__(aggr="add", node_dim=0)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.include_self = include_self
        self.scale = (out_channels // heads) ** -0.5 if scale else 1.0
        self.edge_dim = edge_dim
        self.dropout = dropout
        self._sizes = in_channels if isinstance(in_channels, tuple) else (in_channels, in_channels)
        source, target = self._sizes
        self.lin_query = Linear(target, out_channels)
        self.lin_key = Linear(source, out_channels)
        self.lin_value = Linear(source, out_channels)
        self.lin_out = Linear(out_channels, out_channels) if out_proj else None
        self.lin_edge = Linear(edge_dim, heads, bias=False) if edge_dim is not None else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all learnable parameters anew."""
        super().reset_parameters()
        for lin in (self.lin_query, self.lin_key, self.lin_value, self.lin_out, self.lin_edge):
            if lin is not None:
                lin.reset_parameters()

    @overload
    def forward(
        self,
        x: Nodes,
        edge_index: Tensor | None = None,
        *,
        edge_attr: Tensor | None = None,
        mask: Tensor | tuple[Tensor | None, Tensor | None] | None = None,
        batch: Tensor | tuple[Tensor, Tensor] | None = None,
        return_attention_weights: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        x: Nodes,
        edge_index: Tensor | None = None,
        *,
        edge_attr: Tensor | None = None,
        mask: Tensor | tuple[Tensor | None, Tensor | None] | None = None,
        batch: Tensor | tuple[Tensor, Tensor] | None = None,
        return_attention_weights: Literal[True],
    ) -> tuple[Tensor, Any]: ...

    @keyword_hint
    def forward(
        self,
        x: Nodes,
        edge_index: Tensor | None = None,
        *,
        edge_attr: Tensor | None = None,
        mask: Tensor | tuple[Tensor | None, Tensor | None] | None = None,
        batch: Tensor | tuple[Tensor, Tensor] | None = None,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Any]:
        """Return the messages, and with ``return_attention_weights`` the pair (messages, attention)."""
        pair = isinstance(x, tuple)
        source, target = x if isinstance(x, tuple) else (x, x)
        masks = mask if isinstance(mask, tuple) else (mask, mask)
        edges = None if edge_index is None else self._as_edge_index(edge_index)
        self._check(source, target, edges, edge_attr, masks, batch)
        if batch is not None and edges is None:
            batches = batch if isinstance(batch, tuple) else (batch, batch)
            items = int(max(each.max() for each in batches)) + 1
            (source, there), (target, here) = (
                to_dense_batch(nodes, each, batch_size=items)
                for nodes, each in zip((source, target), batches, strict=True)
            )
            exist = tuple(
                rows if exists is None else rows & to_dense_batch(exists, each, batch_size=items)[0]
                for rows, exists, each in zip((there, here), masks, batches, strict=True)
            )
            source, target = (
                nodes.masked_fill(~rows[..., None], 0)
                for nodes, rows in zip((source, target), exist, strict=True)
            )
            out, alpha = self._attend(source, target, pair, None, edge_attr, exist, return_attention_weights)
            out = out[here]
        else:
            # Nothing of a node that does not exist may pass, not even NaN.
            source, target = (
                nodes if exists is None else nodes.masked_fill(~exists[..., None], 0)
                for nodes, exists in ((source, masks[0]), (target, masks[1]))
            )
            if self._goes_by_edges(source, target, edges):
                edges = complete_edges(source.size(-2), source.device) if edges is None else edges
                out, alpha = self._propagate(source, target, pair, edges, edge_attr, masks)
            else:
                out, alpha = self._attend(
                    source, target, pair, edges, edge_attr, masks, return_attention_weights
                )
        if self.lin_out is not None:
            out = self.lin_out(out)
        if masks[1] is not None:
            out = out.masked_fill(~masks[1][..., None], 0)
        return (out, alpha) if return_attention_weights else out

    def _goes_by_edges(self, source: Tensor, target: Tensor, edges: Tensor | None) -> bool:
        if self.explain or edges is None or source.dim() == 2:
            return bool(self.explain) or edges is not None
        pairs = source.size(1) * target.size(1)
        return not torch.compiler.is_compiling() and pairs > DENSE_PAIRS_PER_EDGE * max(edges.size(1), 512)

    def _heads(self, x: Tensor, lin: Linear) -> Tensor:
        return lin(x).unflatten(-1, (self.heads, -1))  # [..., N, heads, d]

    def _attend(
        self,
        source: Tensor,
        target: Tensor,
        pair: bool,
        edges: Tensor | None,
        edge_attr: Tensor | None,
        masks: tuple[Tensor | None, Tensor | None],
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Dense path: every pair at once, edges and masks as a bias."""
        query, key, value = (
            self._heads(x, lin).transpose(-3, -2)  # [..., heads, L, d]
            for x, lin in ((target, self.lin_query), (source, self.lin_key), (source, self.lin_value))
        )
        bias, isolated = self._bias(query, key, pair, edges, edge_attr, masks[0])
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            scores = query @ key.mT * self.scale
            alpha = (scores if bias is None else scores + bias).softmax(dim=-1)
            out = F.dropout(alpha, dropout) @ value
        else:
            alpha = None
            out = F.scaled_dot_product_attention(
                query, key, value, attn_mask=bias, dropout_p=dropout, scale=self.scale
            )
        if isolated is not None:
            out = out.masked_fill(isolated, 0)
            alpha = None if alpha is None else alpha.masked_fill(isolated, 0)
        if alpha is not None and masks[1] is not None:
            alpha = alpha.masked_fill(~masks[1][..., None, :, None], 0)
        return out.transpose(-3, -2).flatten(-2), alpha

    def _bias(
        self,
        query: Tensor,
        key: Tensor,
        pair: bool,
        edges: Tensor | None,
        edge_attr: Tensor | None,
        exists: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """What is added to the similarities [..., L, L], and the targets [..., L, 1] that have no source."""
        targets, sources = query.size(-2), key.size(-2)
        if edges is None and edge_attr is None and exists is None and (pair or self.include_self):
            return None, None
        bias = query.new_zeros(targets, sources)
        if edges is not None:
            each = query.new_zeros(edges.size(1)) if edge_attr is None else self._of_edges(edge_attr).mT
            bias = edge_bias(edges, sources, targets, each)
        elif edge_attr is not None:
            bias = self._of_edges(edge_attr).movedim(-1, -3)
        if not pair:
            bias = with_diagonal(bias, self.include_self)
        if exists is not None:
            bias = bias.masked_fill(~exists[..., None, None, :], -torch.inf)
        if edges is None and exists is None and (pair or sources > 1):
            return bias, None
        return open_isolated(bias)

    def _of_edges(self, edge_attr: Tensor) -> Tensor:
        assert self.lin_edge is not None  # checked in forward
        out: Tensor = self.lin_edge(edge_attr)
        return out

    def _propagate(
        self,
        source: Tensor,
        target: Tensor,
        pair: bool,
        edges: Tensor,
        edge_attr: Tensor | None,
        masks: tuple[Tensor | None, Tensor | None],
    ) -> tuple[Tensor, Any]:
        """Edge path: the definition. A static graph becomes one graph of all items' nodes."""
        static = source.dim() == 3
        batch, sources, targets = source.size(0) if static else 1, source.size(-2), target.size(-2)
        bias = None if edge_attr is None else self._of_edges(edge_attr)  # [E, heads] or [B, E, heads]
        given = edges.size(1)
        if not pair:
            edges, bias = self._with_self_loops(edges, bias, targets)
        dropped = not self.include_self and edges.size(1) < given
        if self.explain and (batch > 1 or pair or dropped):
            raise ValueError(
                "an explanation needs edges over [N, C], and include_self where there are self-loops"
            )
        flat = edges
        if static:
            flat = torch.stack(
                [batch_edges(edges[:1], sources, batch)[0], batch_edges(edges[1:], targets, batch)[0]]
            )
            bias = None if bias is None else bias.expand(batch, -1, -1).flatten(0, 1)
        if masks[0] is not None:
            kept = masks[0].flatten()[flat[0]].nonzero().squeeze(1)
            flat, bias = flat[:, kept], None if bias is None else bias[kept]
        query, key, value = (
            self._heads(x.reshape(-1, x.size(-1)), lin)
            for x, lin in ((target, self.lin_query), (source, self.lin_key), (source, self.lin_value))
        )
        size = (key.size(0), query.size(0))
        if bias is None:
            bias = query.new_zeros(flat.size(1), 1)
        alpha = self.edge_updater(flat, query=query, key=key, bias=bias, size=size)
        weight = F.dropout(alpha, self.dropout, self.training)
        out = self.propagate(flat, value=value, alpha=weight, size=size).flatten(1)
        if not static:
            return out, (flat, alpha)
        dense = alpha.new_zeros(batch * targets, sources, self.heads)
        dense = dense.index_put((flat[1], flat[0] % sources), alpha, accumulate=True)
        dense = dense.unflatten(0, (batch, targets)).permute(0, 3, 1, 2)
        if masks[1] is not None:
            dense = dense.masked_fill(~masks[1][:, None, :, None], 0)
        return out.unflatten(0, (batch, targets)), dense

    def _with_self_loops(
        self, edges: Tensor, bias: Tensor | None, num_nodes: int
    ) -> tuple[Tensor, Tensor | None]:
        """Self-loops as ``include_self`` has them: each node's, or none."""
        kept = edges[0] != edges[1]
        edges, bias = edges[:, kept], None if bias is None else bias[..., kept, :]
        if self.include_self:
            loops = torch.arange(num_nodes, device=edges.device).expand(2, -1)
            edges = torch.cat([edges, loops], dim=1)
            if bias is not None:
                bias = torch.cat([bias, bias.new_zeros(*bias.shape[:-2], num_nodes, self.heads)], dim=-2)
        return edges, bias

    def edge_update(  # PyG's inspector does not read `X | None`
        self,
        query_i: Tensor,
        key_j: Tensor,
        bias: Tensor,
        index: Tensor,
        ptr: Optional[Tensor],  # noqa: UP045
        size_i: Optional[int],  # noqa: UP045
    ) -> Tensor:
        """Attention of each edge [E, heads]."""
        return softmax((query_i * key_j).sum(dim=-1) * self.scale + bias, index, ptr, size_i)

    def message(self, value_j: Tensor, alpha: Tensor) -> Tensor:
        """The source's value, weighted."""
        return alpha.unsqueeze(-1) * value_j

    @staticmethod
    def _as_edge_index(edge_index: Tensor) -> Tensor:
        if not isinstance(edge_index, Tensor) or is_torch_sparse_tensor(edge_index):
            target_source, _ = to_edge_index(edge_index)  # adj_t: rows are targets
            return target_source.flip(0)
        return edge_index

    def _check(
        self,
        source: Tensor,
        target: Tensor,
        edges: Tensor | None,
        edge_attr: Tensor | None,
        masks: tuple[Tensor | None, Tensor | None],
        batch: Any,
    ) -> None:
        for x, size in zip((source, target), self._sizes, strict=True):
            check_shape("x", x, ["N", size], ["B", "L", size])
        static, items = source.dim() == 3, source.size(0)
        if target.dim() != source.dim() or (static and target.size(0) != items):
            raise ValueError(
                f"x_src and x_dst must be of one batch, got {list(source.shape)} and {list(target.shape)}"
            )
        sources, targets = source.size(-2), target.size(-2)
        if edges is not None:
            check_edges(edges, sources, targets)
        for exists, count in zip(masks, (sources, targets), strict=True):
            check_mask("mask", exists, [items, count] if static else [count])
        if (edge_attr is None) != (self.lin_edge is None):
            raise ValueError(f"edge_attr goes with edge_dim, which is {self.edge_dim}")
        if edge_attr is None:
            return
        if edges is None and batch is not None:
            raise ValueError("edge_attr needs edge_index where batch says what belongs together")
        assert self.edge_dim is not None
        of = [targets, sources] if edges is None else [edges.size(1)]
        alternatives = [[items, *of, self.edge_dim]] if static else []
        check_shape("edge_attr", edge_attr, [*of, self.edge_dim], *alternatives)

    def __repr__(self) -> str:
        """Name, channels and heads, as PyG's layers show themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"
