"""Attention between landmarks: query, key, value."""

from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.utils import add_self_loops, is_torch_sparse_tensor, remove_self_loops, softmax
from torch_geometric.utils.sparse import to_edge_index

from pyspiga_geo.graph import batch_edges, complete_edges


class LandmarkAttention(MessagePassing):
    r"""The attention operator of `"Shape Preserving Facial Landmarks with Graph Attention Networks"
    <https://arxiv.org/abs/2210.07233>`_.

    .. math::
        \mathbf{m}_i = \sum_{j \neq i} \alpha_{ij} \mathbf{h}^v_j, \qquad
        \alpha_{ij} = \mathrm{softmax}_j \left( \mathbf{h}^q_i \cdot \mathbf{h}^k_j \right)

    with query, key and value :math:`\mathbf{h}^{q,k,v}` affine maps of the node features. With several heads
    the channels are split into contiguous groups, one a head, and the messages are concatenated.

    Without ``edge_index`` the graph is complete and computed densely by
    :func:`torch.nn.functional.scaled_dot_product_attention`; a graph shared by a batch ``[B, L, C]`` becomes a
    mask for the same call; edges over ``[N, C]`` are propagated as everywhere in PyG. All paths agree.

    Args:
        in_channels: size of each node's features.
        out_channels: size of each node's message, over all heads together.
        heads: number of heads; must divide ``out_channels``.
        include_self: whether a landmark attends to itself too. Self-loops in ``edge_index`` are ignored:
            this argument decides.
        scale: divide the similarity by :math:`\sqrt{d}`, d the channels of a head (reference: yes; paper: no).
        out_proj: follow the concatenated messages by a linear map (reference: yes; paper: no).

    Shapes:
        - **x**: ``[N, C]``, or a static graph ``[B, L, C]``: the same graph for every item of the batch
        - **edge_index**: ``[2, E]`` (source, target), or a sparse ``adj_t``, or None: the complete graph
        - **output**: like x, with ``out_channels``. Nodes without a neighbour receive a zero message
        - **attention**: ``[heads, N, N]`` or ``[B, heads, L, L]``, row i over the sources j; for ``[N, C]`` with
          edges ``(edge_index, alpha [E, heads])`` as PyG returns it

    Raises:
        ValueError: when ``heads`` does not divide ``out_channels``, x has a wrong shape, or an explainer asks for
            more than edges over ``[N, C]``, or for self-loops that include_self switches off.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        include_self: bool = False,
        scale: bool = False,
        out_proj: bool = False,
    ) -> None:
        if out_channels % heads:
            raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
        super().__init__(aggr="add", node_dim=0)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.include_self = include_self
        self.scale = (out_channels // heads) ** -0.5 if scale else 1.0
        self.lin_query = Linear(in_channels, out_channels)
        self.lin_key = Linear(in_channels, out_channels)
        self.lin_value = Linear(in_channels, out_channels)
        self.lin_out = Linear(out_channels, out_channels) if out_proj else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all learnable parameters anew."""
        super().reset_parameters()
        for lin in (self.lin_query, self.lin_key, self.lin_value, self.lin_out):
            if lin is not None:
                lin.reset_parameters()

    def forward(
        self, x: Tensor, edge_index: Tensor | None = None, return_attention_weights: bool = False
    ) -> Any:
        """Return the messages, and with ``return_attention_weights`` the pair (messages, attention)."""
        if x.dim() not in (2, 3) or x.size(-1) != self.in_channels:
            raise ValueError(
                f"x must be [N, {self.in_channels}] or [B, L, {self.in_channels}], got {list(x.shape)}"
            )
        edges = None if edge_index is None else self._as_edge_index(edge_index)
        if self.explain or (x.dim() == 2 and edges is not None):
            out, alpha = self._propagate(x, edges)
        else:
            out, alpha = self._attend(x, edges, return_attention_weights)
        if self.lin_out is not None:
            out = self.lin_out(out)
        return (out, alpha) if return_attention_weights else out

    def _heads(self, x: Tensor, lin: Linear) -> Tensor:
        return lin(x).unflatten(-1, (self.heads, -1))  # [..., N, heads, d]

    def _attend(self, x: Tensor, edges: Tensor | None, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        """Dense path: every pair at once, edges as a mask."""
        query, key, value = (
            self._heads(x, lin).transpose(-3, -2)  # [..., heads, L, d]
            for lin in (self.lin_query, self.lin_key, self.lin_value)
        )
        mask, lonely = self._mask(x.size(-2), edges, query)
        if need_weights:
            scores = query @ key.mT * self.scale
            alpha = (scores if mask is None else scores + mask).softmax(dim=-1)
            out = alpha @ value
        else:
            alpha = None
            out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scale)
        if lonely is not None:
            out = out.masked_fill(lonely, 0)
            alpha = None if alpha is None else alpha.masked_fill(lonely, 0)
        return out.transpose(-3, -2).flatten(-2), alpha

    def _mask(
        self, num_nodes: int, edges: Tensor | None, like: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Additive mask [L, L] (target, source): 0 for an edge, log(n) for n parallel edges, -inf for none.

        With it, where there may be any, the nodes without a neighbour [L, 1]. Their rows are left open, since
        a softmax over nothing is not a number; what they hear is set to zero afterwards.
        """
        self_loops = torch.eye(num_nodes, dtype=torch.bool, device=like.device)
        if edges is None and self.include_self:
            return None, None
        if edges is None:
            mask = torch.zeros_like(self_loops, dtype=like.dtype).masked_fill(self_loops, -torch.inf)
        else:
            count = like.new_zeros(num_nodes, num_nodes)
            count = count.index_put((edges[1], edges[0]), count.new_ones(()), accumulate=True)
            mask = count.masked_fill(self_loops, float(self.include_self)).log()
        if edges is None and num_nodes > 1:
            return mask, None
        lonely = mask.isneginf().all(dim=-1, keepdim=True)
        return mask.masked_fill(lonely, 0), lonely

    def _propagate(self, x: Tensor, edges: Tensor | None) -> tuple[Tensor, Any]:
        """Edge path: the definition. A static graph is flattened to a batch of B graphs."""
        batch, num_nodes = (x.size(0), x.size(1)) if x.dim() == 3 else (1, x.size(0))
        if edges is None:
            edges = complete_edges(num_nodes, x.device)
        given = edges.size(1)
        edges, _ = remove_self_loops(edges)
        if self.explain and (batch > 1 or (edges.size(1) < given and not self.include_self)):
            raise ValueError(
                "an explanation needs edges over [N, C], and include_self where there are self-loops"
            )
        if self.include_self:
            edges, _ = add_self_loops(edges, num_nodes=num_nodes)
        flat = batch_edges(edges, num_nodes, batch) if batch > 1 else edges
        nodes = x.reshape(-1, self.in_channels)
        query, key, value = (
            self._heads(nodes, lin) for lin in (self.lin_query, self.lin_key, self.lin_value)
        )
        alpha = self.edge_updater(flat, query=query, key=key)
        out = self.propagate(flat, value=value, alpha=alpha, size=None).flatten(1)
        if x.dim() == 2:
            return out, (edges, alpha)
        dense = alpha.new_zeros(batch, self.heads, num_nodes, num_nodes)
        per_graph = alpha.unflatten(0, (batch, -1)).permute(0, 2, 1)
        dense = dense.index_put(
            (torch.arange(batch)[:, None, None], torch.arange(self.heads)[:, None], edges[1], edges[0]),
            per_graph,
            accumulate=True,
        )
        return out.unflatten(0, (batch, num_nodes)), dense

    def edge_update(  # PyG's inspector does not read `X | None`
        self,
        query_i: Tensor,
        key_j: Tensor,
        index: Tensor,
        ptr: Optional[Tensor],  # noqa: UP045
        size_i: Optional[int],  # noqa: UP045
    ) -> Tensor:
        """Attention of each edge [E, heads]."""
        return softmax((query_i * key_j).sum(dim=-1) * self.scale, index, ptr, size_i)

    def message(self, value_j: Tensor, alpha: Tensor) -> Tensor:
        """The source's value, weighted."""
        return alpha.unsqueeze(-1) * value_j

    @staticmethod
    def _as_edge_index(edge_index: Tensor) -> Tensor:
        if not isinstance(edge_index, Tensor) or is_torch_sparse_tensor(edge_index):
            target_source, _ = to_edge_index(edge_index)  # adj_t: rows are targets
            return target_source.flip(0)
        return edge_index

    def __repr__(self) -> str:
        """Name, channels and heads, as PyG's layers show themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"
