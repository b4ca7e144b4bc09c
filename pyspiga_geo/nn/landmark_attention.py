"""Attention between landmarks: query, key, value."""

import math
from typing import Any, Literal, Optional, overload

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.typing import OptTensor
from torch_geometric.utils import softmax

from pyspiga_geo.keywords import keyword_hint
from pyspiga_geo.nn.attention_bias import Masks, attention_bias, dense_attention, pairs_exist
from pyspiga_geo.nn.checks import as_edges, check_mask, check_shape
from pyspiga_geo.nn.node_batch import within_items

OptInt = Optional[int]  # noqa: UP045 - PyG's inspector does not read `X | None`
Nodes = Tensor | tuple[Tensor, Tensor]
NodeMasks = Tensor | tuple[Tensor | None, Tensor | None] | None
Items = Tensor | tuple[Tensor, Tensor] | None

DENSE_PAIRS_PER_EDGE = 48
"""A static graph with fewer than one edge per this many pairs is propagated by its edges: about here both paths take
equally long on a CPU.
"""


class LandmarkAttention(MessagePassing):
    r"""Dot-product attention between landmarks.

    The operator of `"Shape Preserving Facial Landmarks with Graph Attention Networks"
    <https://arxiv.org/abs/2210.07233>`_:

    .. math::
        \mathbf{m}_i = \sum_{j \neq i} \alpha_{ij} \mathbf{h}^v_j, \qquad
        \alpha_{ij} = \mathrm{softmax}_j \left( \mathbf{h}^q_i \cdot \mathbf{h}^k_j + b(\mathbf{e}_{ij}) \right)

    with query, key and value :math:`\mathbf{h}^{q,k,v}` affine maps of the node features and, with ``edge_dim``,
    :math:`b` a linear map of the edge features to one number per head. The channels are split into contiguous
    groups, one per head, and the messages are concatenated: ``out_channels`` counts all heads together (PyG's attention
    layers count per head).

    Without edges the graph is complete and goes to :func:`torch.nn.functional.scaled_dot_product_attention`. A graph
    shared by a batch ``[B, L, C]`` becomes a bias of the same call, or is propagated if it has few edges. Edges over
    ``[N, C]`` are propagated as everywhere in PyG, and only they are seen by its hooks and explainers. All paths agree.
    The fused kernels have no second derivatives: ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`` has.

    Args:
        in_channels: size of each node's features, or (source, target) for attention between two sets.
        out_channels: size of each node's message, over all heads together.
        heads: number of heads; must divide ``out_channels``.
        include_self: whether a landmark attends to itself too. Self-loops in ``edge_index`` are ignored: this
            argument decides. Between two sets there are no self-loops, and it has no effect.
        scale: divide the similarity by :math:`\sqrt{d}`, d the channels of a head (reference: yes; paper: no).
        out_proj: apply a linear map to the concatenated messages (reference: yes; paper: no).
        edge_dim: size of the edge features. A node's attention to itself has none.
        dropout: probability with which an attention weight is dropped in training.

    Shapes:
        - **x**: ``[N, C]``; a static graph ``[B, L, C]``; or a pair ``(x_src, x_dst)`` of either kind
        - **edge_index**: ``[2, E]`` (source, target), for a static graph the same for every item, or a sparse
          ``adj_t``, whose values are ignored; None: the complete graph
        - **edge_attr**: ``[E, edge_dim]`` or ``[B, E, edge_dim]``; for the complete graph ``[L, L, edge_dim]`` or
          ``[B, L, L, edge_dim]`` (target, source)
        - **mask**: bool, one per node: False for nodes that do not exist; for a pair, a pair of masks or Nones
        - **batch**: ``[N]`` sorted, for a pair a pair: without edges, a complete graph within each item of ``[N, C]``
        - **output**: like x (for a pair: like x_dst) with ``out_channels``; zero for nodes that do not exist. Nodes
          without a neighbour receive no message: zero, or the bias of out_proj
        - **attention**: ``[heads, N, N]`` or ``[B, heads, L, L]``, row i over the sources j; with ``batch``
          ``[B, heads, L_max, L_max]``; for ``[N, C]`` with edges ``(edge_index, alpha [E, heads])`` as in PyG

    Raises:
        ValueError: if an argument does not fit; or if an explainer is used with anything but edges over ``[N, C]``, or
            with self-loops that include_self switches off.

    Example:
        >>> attention = LandmarkAttention(16, 32, heads=4)
        >>> attention(torch.rand(8, 68, 16)).shape
        torch.Size([8, 68, 32])
        >>> _, alpha = attention(torch.rand(8, 68, 16), return_attention_weights=True)
        >>> alpha.shape, torch.allclose(alpha.sum(dim=-1), torch.tensor(1.0))  # weights of each landmark sum to 1
        (torch.Size([8, 4, 68, 68]), True)
    """

    static_graphs = True
    """Takes [B, L, C] itself: :func:`~pyspiga_geo.nn.make_conv` does not wrap it."""

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
            raise ValueError(f"dropout must be 0 or more and less than 1, got {dropout}")
        super().__init__(aggr="add", node_dim=0)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.include_self = include_self
        self.scale = (out_channels // heads) ** -0.5 if scale else 1.0
        self.edge_dim = edge_dim
        self.dropout = dropout
        source, target = in_channels if isinstance(in_channels, tuple) else (in_channels, in_channels)
        self.lin_query = Linear(target, out_channels)
        self.lin_key = Linear(source, out_channels)
        self.lin_value = Linear(source, out_channels)
        self.lin_out = Linear(out_channels, out_channels) if out_proj else None
        self.lin_edge = None if edge_dim is None else Linear(edge_dim, heads, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitialise all learnable parameters."""
        super().reset_parameters()
        for lin in (self.lin_query, self.lin_key, self.lin_value, self.lin_out, self.lin_edge):
            if lin is not None:
                lin.reset_parameters()

    @overload
    def forward(
        self, x: Nodes, edge_index: Any = None, *, edge_attr: Tensor | None = None, mask: NodeMasks = None,
        batch: Items = None, return_attention_weights: Literal[False] = False
    ) -> Tensor: ...  # fmt: skip

    @overload
    def forward(
        self, x: Nodes, edge_index: Any = None, *, edge_attr: Tensor | None = None, mask: NodeMasks = None,
        batch: Items = None, return_attention_weights: Literal[True]
    ) -> tuple[Tensor, Any]: ...  # fmt: skip

    @keyword_hint
    def forward(
        self,
        x: Nodes,
        edge_index: Any = None,
        *,
        edge_attr: Tensor | None = None,
        mask: NodeMasks = None,
        batch: Items = None,
        return_attention_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Any]:
        """Compute the messages; the class lists the shapes.

        Args:
            x: node features.
            edge_index: edges. Default: the complete graph.
            edge_attr: edge features.
            mask: nodes that exist. Default: all.
            batch: the item of each node.
            return_attention_weights: return the pair (messages, attention).

        Raises:
            ValueError: if an argument does not fit.
        """
        if batch is not None and edge_index is None:
            return within_items(self.forward, x, batch, mask, edge_attr, return_attention_weights)
        source, target = x if isinstance(x, tuple) else (x, x)
        masks = self._check(source, target, mask)
        sources, targets = source.size(-2), target.size(-2)
        edges = None if edge_index is None else as_edges(edge_index, sources, targets)
        if masks is not None:  # nothing of a node that does not exist may pass, not even NaN
            source = source.masked_fill(~masks[0][..., None], 0)
            target = target.masked_fill(~masks[1][..., None], 0)
        bias = self._edge_bias(edge_attr, edges, source, target, masks)
        heads = [
            lin(nodes).unflatten(-1, (self.heads, -1))  # [..., L, heads, d]
            for lin, nodes in ((self.lin_query, target), (self.lin_key, source), (self.lin_value, source))
        ]
        self_loops = None if isinstance(x, tuple) else self.include_self
        few = edges is not None and sources * targets > DENSE_PAIRS_PER_EDGE * max(edges.size(1), 512)
        if self.explain or (edges is not None and (source.dim() == 2 or (few and not is_compiling()))):
            out, alpha = self._propagate(heads, edges, bias, self_loops, masks, return_attention_weights)
        else:
            like = heads[0].new_empty(targets, sources)
            bias, isolated = attention_bias(like, edges, bias, self_loops, masks)
            out, alpha = self._attend(heads, bias, isolated, return_attention_weights)
        out = out.flatten(-2)
        if self.lin_out is not None:
            out = self.lin_out(out)
        if masks is not None:
            out = out.masked_fill(~masks[1][..., None], 0)
        return (out, alpha) if return_attention_weights else out

    def _check(self, source: Tensor, target: Tensor, mask: Any) -> Masks | None:
        """Check nodes, and bring masks into one form."""
        sizes = self.in_channels if isinstance(self.in_channels, tuple) else [self.in_channels] * 2
        masks = mask if isinstance(mask, tuple) else (mask, mask)
        found = []
        for nodes, size, exist in zip((source, target), sizes, masks, strict=True):
            check_shape("x", nodes, ["N", size], ["B", "L", size])
            check_mask(exist, nodes.shape[:-1])
            if mask is not None:
                found.append(nodes.new_ones(nodes.shape[:-1], dtype=torch.bool) if exist is None else exist)
        if source.shape[:-2] != target.shape[:-2]:
            shapes = f"{list(source.shape)} and {list(target.shape)}"
            raise ValueError(f"x_src and x_dst must be of one batch, got {shapes}")
        return None if mask is None else (found[0], found[1])

    def _edge_bias(
        self, edge_attr: Any, edges: Tensor | None, source: Tensor, target: Tensor, masks: Masks | None
    ) -> Tensor | None:
        """A number per edge and head."""
        if (edge_attr is None) != (self.edge_dim is None):
            raise ValueError(f"edge_attr goes with edge_dim, which is {self.edge_dim}")
        if self.lin_edge is None:
            return None
        count = [target.size(-2), source.size(-2)] if edges is None else [edges.size(1)]
        shape = [*count, self.lin_edge.in_channels]
        check_shape("edge_attr", edge_attr, shape, *([[source.size(0), *shape]] if source.dim() == 3 else []))
        if masks is not None:
            edge_attr = torch.where(pairs_exist(masks, edges)[..., None], edge_attr, 0)
        return self.lin_edge(edge_attr.to(self.lin_edge.weight.dtype))

    def _attend(
        self, heads: list[Tensor], bias: Tensor | None, isolated: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Dense path: every pair at once, edges and masks as a bias."""
        query, key, value = (each.transpose(-3, -2) for each in heads)  # [..., heads, L, d]
        alpha, dropout = None, self.dropout if self.training else 0.0
        if need_weights:
            scores = query @ key.mT * self.scale
            alpha = (scores if bias is None else scores + bias).softmax(dim=-1)
            alpha = alpha if isolated is None else alpha.masked_fill(isolated, 0)
            out = F.dropout(alpha, dropout) @ value
        else:
            out = F.scaled_dot_product_attention(query, key, value, bias, dropout, scale=self.scale)
            out = out if isolated is None else out.masked_fill(isolated, 0)
        return out.transpose(-3, -2), alpha

    def _propagate(
        self, heads: list[Tensor], edges: Any, bias: Any, self_loops: bool | None, masks: Any, need_weights: bool
    ) -> tuple[Tensor, Any]:
        """Edge path: the definition. A static graph becomes one graph of the nodes of all items."""
        query, key, value = (each.flatten(0, -3) for each in heads)
        *static, targets, _, _ = heads[0].shape
        batch_size, sources = math.prod(static), heads[1].size(-3)
        kept = None if edges is None or self_loops is None else edges[0] != edges[1]
        if self.explain and (kept is None or batch_size > 1 or masks or not (self_loops or kept.all())):
            raise ValueError("an explanation needs edges over [N, C], and include_self where there are self-loops")
        bias = query.new_zeros(edges.size(1), 1) if bias is None else bias
        if kept is not None:  # self-loops as include_self has them: each node's, or none
            edges, bias = edges[:, kept], bias[..., kept, :]
        if self_loops:
            edges = torch.cat([edges, torch.arange(targets, device=edges.device).expand(2, -1)], dim=1)
            bias = F.pad(bias, (0, 0, 0, targets))
        item = torch.arange(batch_size, device=edges.device)[:, None]
        edges = torch.stack([(edges[0] + item * sources).flatten(), (edges[1] + item * targets).flatten()])
        bias = bias.expand(batch_size, -1, -1).flatten(0, 1)
        if masks is not None:
            exist = pairs_exist((masks[0].flatten(), masks[1].flatten()), edges)
            edges, bias = edges[:, exist], bias[exist]
        size = (batch_size * sources, batch_size * targets)
        alpha = self.edge_updater(edges, query=query, key=key, bias=bias, size=size)
        weight = F.dropout(alpha, self.dropout, self.training)
        out = self.propagate(edges, value=value, alpha=weight, size=size).view(heads[0].shape)
        attention: Any = (edges, alpha)
        if static and need_weights:
            attention = dense_attention(edges, alpha, batch_size, targets, sources)
        return out, attention

    def edge_update(
        self, query_i: Tensor, key_j: Tensor, bias: Tensor, index: Tensor, ptr: OptTensor, size_i: OptInt
    ) -> Tensor:
        """Attention of each edge [E, heads], called by PyG."""
        return softmax((query_i * key_j).sum(dim=-1) * self.scale + bias, index, ptr, size_i)

    def message(self, value_j: Tensor, alpha: Tensor) -> Tensor:
        """The source's value, weighted by the attention, called by PyG."""
        return alpha.unsqueeze(-1) * value_j

    def __repr__(self) -> str:
        """Name, channels and heads, as PyG's layers show themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"
