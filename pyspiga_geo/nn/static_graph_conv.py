"""Any PyG convolution on a static graph."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.graph import batch_edges, complete_edges
from pyspiga_geo.keywords import keyword_hint
from pyspiga_geo.nn.attention_bias import dense_attention
from pyspiga_geo.nn.checks import as_edges, check_batch, check_mask, check_shape
from pyspiga_geo.nn.node_batch import within_items


class StaticGraphConv(nn.Module):
    """Run a PyG convolution on ``[B, L, C]`` by passing the batch as one graph of B x L nodes.

    PyG's convolutions differ in what they do with static graphs: some refuse them, some are silently wrong. The
    convolution gets what its ``forward`` takes: ``batch`` is made for it, ``edge_attr`` goes to an argument of this
    name or to ``edge_weight``, and its attention is converted to matrices.

    Args:
        conv: called as ``conv(x, edge_index, ...)`` with x [N, C].
        ignore_self_loops: whether to leave out self-loops in ``edge_index``.

    Shapes:
        - **x**, **edge_index**, **mask**, **batch**: as :class:`LandmarkAttention` takes them
        - **edge_attr**: ``[E, D]`` or ``[B, E, D]``; ``[E]`` or ``[B, E]`` if the convolution takes ``edge_weight``
        - **output**: like x with the convolution's output channels, zero for nodes that do not exist
        - **attention**: ``[B, heads, L, L]``, row i over the sources j; for ``[N, C]`` the convolution's own

    Raises:
        ValueError: if the convolution takes no edge features, or has no attention weights to return.

    Example:
        >>> from torch_geometric.nn import GATConv
        >>> StaticGraphConv(GATConv(16, 8, heads=4))(torch.rand(2, 5, 16)).shape
        torch.Size([2, 5, 32])
    """

    static_graphs = True

    @keyword_hint
    def __init__(self, conv: nn.Module, *, ignore_self_loops: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.ignore_self_loops = ignore_self_loops
        parameters = inspect.signature(conv.forward).parameters
        self._takes = set(parameters)
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            self._takes.add("edge_attr")  # GPSConv hands it to the convolution within

    @keyword_hint
    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        *,
        edge_attr: Tensor | None = None,
        mask: Tensor | None = None,
        batch: Tensor | None = None,
        return_attention_weights: bool = False,
    ) -> Any:
        """Return the messages; the class lists the shapes.

        Args:
            x: node features.
            edge_index: edges. Default: the complete graph.
            edge_attr: edge features or weights.
            mask: nodes that exist. Default: all.
            batch: the item of each node.
            return_attention_weights: return the pair (messages, attention).

        Raises:
            ValueError: if an argument does not fit, or the convolution has no attention weights.
        """
        options: dict[str, Any] = {"return_attention_weights": True} if return_attention_weights else {}
        if not self._takes.issuperset(options):
            raise ValueError(f"{type(self.conv).__name__} has no attention weights to return")
        if batch is not None and edge_index is None:
            return within_items(self.forward, x, batch, mask, edge_attr, return_attention_weights)
        check_shape("x", x, ["N", "C"], ["B", "L", "C"])
        static, num_nodes = x.dim() == 3, x.size(-2)
        size = x.size(0) if static else 1
        check_mask(mask, x.shape[:-1])
        check_batch(batch, x.size(0))
        if edge_index is None:
            edges = complete_edges(num_nodes, x.device)
        else:
            edges = as_edges(edge_index, num_nodes, num_nodes)
        weights = self._per_edge(edge_attr, edges.size(1), x)
        if self.ignore_self_loops and edge_index is not None:
            kept = edges[0] != edges[1]
            edges, weights = edges[:, kept], None if weights is None else weights[..., kept, :]
        edges = batch_edges(edges, num_nodes, size)
        weights = weights if weights is None else weights.expand(size, -1, -1).flatten(0, 1)
        nodes = x.reshape(-1, x.size(-1))
        if batch is None:
            batch = torch.arange(size, device=x.device).repeat_interleave(num_nodes)
        if mask is not None:  # of the nodes that do not exist the convolution learns nothing
            present = mask.flatten()
            kept, number = present[edges].all(dim=0), present.cumsum(0) - 1
            edges, weights = number[edges[:, kept]], None if weights is None else weights[kept]
            nodes, batch = nodes[present], batch[present]
        if "batch" in self._takes:
            options["batch"] = batch
        if weights is not None and "edge_attr" in self._takes:
            options["edge_attr"] = weights
        elif weights is not None:
            options["edge_weight"] = weights.squeeze(-1)

        out = self.conv(nodes, edges, **options)
        message, attention = out if return_attention_weights else (out, None)
        if mask is not None:
            rows = present.nonzero().squeeze(1)
            message = message.new_zeros(present.size(0), message.size(-1)).index_copy(0, rows, message)
            if attention is not None:
                attention = (rows[attention[0]], attention[1])
        message = message.unflatten(0, x.shape[:-1])
        if attention is None:
            return message
        if static:
            attention = dense_attention(attention[0], attention[1], size, num_nodes, num_nodes)
        return message, attention

    def _per_edge(self, edge_attr: Tensor | None, num_edges: int, x: Tensor) -> Tensor | None:
        """Edge features as [E, D] or [B, E, D]; weights have D = 1."""
        dim = getattr(self.conv, "edge_dim", None)
        if edge_attr is None and dim is not None:
            raise ValueError(f"edge_attr goes with edge_dim, which is {dim}")
        if edge_attr is None:
            return None
        if not self._takes & {"edge_attr", "edge_weight"} or (hasattr(self.conv, "edge_dim") and dim is None):
            raise ValueError(f"{type(self.conv).__name__} takes no edge features, but edge_attr was given")
        weights = edge_attr if "edge_attr" in self._takes else edge_attr.unsqueeze(-1)
        shape = [num_edges, dim or "D"]
        check_shape("edge_attr", weights, shape, *([[x.size(0), *shape]] if x.dim() == 3 else []))
        return weights.to(x.dtype) if weights.is_floating_point() else weights
