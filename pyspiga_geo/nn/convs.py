"""Graph operators by name, and any PyG convolution on a static graph."""

from collections.abc import Callable

from torch import Tensor, nn
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GINConv, SAGEConv, TransformerConv

from pyspiga_geo.graph import batch_edges, complete_edges
from pyspiga_geo.nn.landmark_attention import LandmarkAttention

ConvFactory = Callable[[int, int], nn.Module]
"""A function (in_channels, out_channels) -> module, which is called as ``module(x, edge_index)`` with x [N, C]."""

CONVS = ("attention", "gcn", "gat", "gatv2", "sage", "gin", "transformer", "none")
"""Graph operators that :func:`make_conv` knows by name."""


class StaticGraphConv(nn.Module):
    """Run a PyG convolution on ``[B, L, C]`` by handing it the batch as one graph of B x L nodes.

    PyG's convolutions differ in what they do with static graphs: some refuse them, some are silently wrong.
    With ``[N, C]`` the convolution is called as it is. Without ``edge_index`` the graph is complete.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """Map [N, C] or [B, L, C] to the same with the convolution's output channels."""
        if edge_index is None:
            edge_index = complete_edges(x.size(-2), x.device)
        if x.dim() == 2:
            out: Tensor = self.conv(x, edge_index)
            return out
        batch, num_nodes, _ = x.shape
        out = self.conv(x.flatten(0, 1), batch_edges(edge_index, num_nodes, batch))
        return out.unflatten(0, (batch, num_nodes))


class NoMessage(nn.Module):
    """The control of every ablation: all messages are zero, each node is left to itself."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def forward(self, x: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """Zeros of the shape of x with the output channels."""
        return x.new_zeros(*x.shape[:-1], self.out_channels)


def make_conv(
    conv: str | ConvFactory,
    in_channels: int,
    out_channels: int,
    heads: int = 1,
    include_self: bool = False,
    scale: bool = False,
    out_proj: bool = False,
) -> nn.Module:
    """Build the graph operator of a :class:`~pyspiga_geo.nn.GraphBlock`.

    Args:
        conv: one of ``CONVS``, or a function (in_channels, out_channels) -> module that is called as
            ``module(x, edge_index)`` with x [N, C].
        in_channels: node features in.
        out_channels: node features out, over all heads.
        heads: heads of the operators that have heads.
        include_self: whether a node's own features are part of its message, where the operator has a choice.
        scale: see :class:`~pyspiga_geo.nn.LandmarkAttention`; others do not use it.
        out_proj: see :class:`~pyspiga_geo.nn.LandmarkAttention`; others do not use it.

    Raises:
        ValueError: for an unknown name, or heads that do not divide the channels of an operator with heads.
    """
    if callable(conv):
        return StaticGraphConv(conv(in_channels, out_channels))
    if conv == "attention":
        return LandmarkAttention(in_channels, out_channels, heads, include_self, scale, out_proj)
    if conv == "none":
        return NoMessage(out_channels)
    if conv in ("gat", "gatv2", "transformer") and out_channels % heads:
        raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
    per_head = out_channels // heads
    makers: dict[str, Callable[[], nn.Module]] = {
        "gcn": lambda: GCNConv(in_channels, out_channels, add_self_loops=include_self),
        "gat": lambda: GATConv(in_channels, per_head, heads, add_self_loops=include_self),
        "gatv2": lambda: GATv2Conv(in_channels, per_head, heads, add_self_loops=include_self),
        "sage": lambda: SAGEConv(in_channels, out_channels, root_weight=include_self),
        "gin": lambda: GINConv(nn.Linear(in_channels, out_channels)),
        "transformer": lambda: TransformerConv(in_channels, per_head, heads, root_weight=include_self),
    }
    if conv not in makers:
        raise ValueError(
            f"unknown conv {conv!r}; known: {', '.join(CONVS)}, or a function (in, out) -> module"
        )
    return StaticGraphConv(makers[conv]())
