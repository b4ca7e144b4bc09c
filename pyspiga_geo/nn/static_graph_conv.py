"""Any PyG convolution on a static graph."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.utils import is_torch_sparse_tensor
from torch_geometric.utils.sparse import to_edge_index

from pyspiga_geo.graph import batch_edges, complete_edges
from pyspiga_geo.keywords import keyword_hint
from pyspiga_geo.nn.checks import check_edges, check_mask, check_shape


class StaticGraphConv(nn.Module):
    """Run a PyG convolution on ``[B, L, C]`` by handing it the batch as one graph of B x L nodes.

    PyG's convolutions differ in what they do with static graphs: some refuse them, some are silently wrong. The
    convolution gets what its ``forward`` takes: ``batch`` is made for it, ``edge_attr`` goes to an argument of this
    name or to ``edge_weight``, and its attention is brought into matrices. An operator with an attribute
    ``static_graphs = True`` (:class:`~pyspiga_geo.nn.LandmarkAttention`) is called as it is.

    Args:
        conv: called as ``conv(x, edge_index, ...)`` with x [N, C].
        ignore_self_loops: whether self-loops in ``edge_index`` are left out.

    Shapes:
        - **x**: ``[B, L, C]``, or ``[N, C]``, on which the convolution is called directly
        - **edge_index**: ``[2, E]`` (source, target) or a sparse ``adj_t``, whose values are ignored; None: the
          complete graph
        - **edge_attr**: ``[E, D]`` or ``[B, E, D]``; ``[E]`` or ``[B, E]`` where the convolution takes ``edge_weight``
        - **mask**: ``[B, L]`` bool, the nodes that exist; the others send nothing and receive zero
        - **output**: like x with the convolution's output channels
        - **attention**: ``[B, heads, L, L]``, row i over the sources j; of ``[N, C]`` the convolution's own

    Raises:
        ValueError: when the convolution does not take edge features, or has no attention to show.

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
        self._as_it_is = getattr(conv, "static_graphs", False)
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
        """Return the messages, and with ``return_attention_weights`` the pair (messages, attention)."""
        if return_attention_weights and "return_attention_weights" not in self._takes:
            raise ValueError(f"{type(self.conv).__name__} has no attention weights to return")
        if self._as_it_is:
            given = {"edge_attr": edge_attr, "mask": mask, "batch": batch}
            options = {name: value for name, value in given.items() if value is not None}
            if return_attention_weights:
                options["return_attention_weights"] = True
            return self.conv(x, edge_index, **options)
        edges = self._edges(x, edge_index, batch)
        weights = None if edge_attr is None else self._per_edge(edge_attr, edges.size(1), x)
        if self.ignore_self_loops and edge_index is not None:
            kept = (edges[0] != edges[1]).nonzero().squeeze(1)
            edges, weights = edges[:, kept], None if weights is None else weights.index_select(-2, kept)
        check_mask("mask", mask, x.shape[:-1])
        return self._run(x, edges, weights, mask, batch, return_attention_weights)

    def _run(
        self,
        x: Tensor,
        edges: Tensor,
        weights: Tensor | None,
        mask: Tensor | None,
        batch: Tensor | None,
        need: bool,
    ) -> Any:
        """Call the convolution on one graph of the nodes of all items; those that do not exist are not in it."""
        static, num_nodes = x.dim() == 3, x.size(-2)
        nodes, size = x.reshape(-1, x.size(-1)), len(x) if static else 1
        if static:
            edges = batch_edges(edges, num_nodes, size)
            batch = torch.arange(size, device=x.device).repeat_interleave(num_nodes)
            weights = None if weights is None else weights.expand(size, -1, -1).flatten(0, 1)
        rows = None
        if mask is not None:
            present = mask.flatten()
            rows, number = present.nonzero().squeeze(1), present.cumsum(0) - 1
            kept = present[edges].all(dim=0).nonzero().squeeze(1)
            edges, weights = number[edges[:, kept]], None if weights is None else weights[kept]
            batch = None if batch is None else batch[rows]
        out = self._call(nodes if rows is None else nodes[rows], edges, weights, batch, need)
        message, attention = out if need else (out, None)
        if rows is not None:
            everywhere = message.new_zeros(len(nodes), message.size(-1))
            message = everywhere.index_copy(0, rows, message)
        message = message.unflatten(0, x.shape[:-1])
        if not need:
            return message
        return message, self._dense(attention, rows, size, num_nodes) if static else attention

    def _call(
        self, x: Tensor, edges: Tensor, weights: Tensor | None, batch: Tensor | None, need: bool
    ) -> Any:
        options: dict[str, Any] = {"return_attention_weights": True} if need else {}
        if "batch" in self._takes:
            options["batch"] = x.new_zeros(len(x), dtype=torch.long) if batch is None else batch
        if weights is not None and self._weight_only:
            options["edge_weight"] = weights.squeeze(-1)
        elif weights is not None:
            options["edge_attr"] = weights
        return self.conv(x, edges, **options)

    @staticmethod
    def _dense(attention: tuple[Tensor, Tensor], rows: Tensor | None, size: int, num_nodes: int) -> Tensor:
        """Bring (edge_index, alpha [E, heads]) of the batch into matrices [B, heads, L, L]."""
        (source, target), alpha = attention
        if rows is not None:
            source, target = rows[source], rows[target]
        dense = alpha.new_zeros(size * num_nodes, num_nodes, alpha.size(-1))
        dense = dense.index_put((target, source % num_nodes), alpha, accumulate=True)
        return dense.unflatten(0, (size, num_nodes)).permute(0, 3, 1, 2)

    @property
    def _weight_only(self) -> bool:
        return "edge_attr" not in self._takes

    def _per_edge(self, edge_attr: Tensor, num_edges: int, x: Tensor) -> Tensor:
        """Edge features as [E, D] or [B, E, D]; weights have D = 1."""
        if not self._takes & {"edge_attr", "edge_weight"}:
            raise ValueError(f"{type(self.conv).__name__} takes no edge features, but edge_attr was given")
        weights = edge_attr.unsqueeze(-1) if self._weight_only else edge_attr
        shapes = [[num_edges, "D"], *([[len(x), num_edges, "D"]] if x.dim() == 3 else [])]
        check_shape("edge_attr", weights, *shapes)
        return weights

    @staticmethod
    def _edges(x: Tensor, edge_index: Tensor | None, batch: Tensor | None) -> Tensor:
        num_nodes = x.size(-2)
        if edge_index is None:
            edges = complete_edges(num_nodes, x.device)
            return edges if batch is None else edges[:, batch[edges[0]] == batch[edges[1]]]
        if not isinstance(edge_index, Tensor) or is_torch_sparse_tensor(edge_index):
            target_source, _ = to_edge_index(edge_index)  # adj_t: rows are targets
            edge_index = target_source.flip(0)
        check_edges(edge_index, num_nodes, num_nodes)
        return edge_index
