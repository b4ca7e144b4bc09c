"""Graph operators by name."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GINConv, SAGEConv, TransformerConv

from pyspiga_geo.keywords import keyword_hint
from pyspiga_geo.nn.landmark_attention import LandmarkAttention
from pyspiga_geo.nn.static_graph_conv import StaticGraphConv

ConvFactory = Callable[[int, int], nn.Module]
"""A function (in_channels, out_channels) -> module. The module is called as ``module(x, edge_index)`` with x [N, C]."""

CONVS = ("attention", "gcn", "gat", "gatv2", "sage", "gin", "transformer", "none")
"""Graph operators that :func:`make_conv` knows by name."""


class NoMessage(nn.Module):
    """The control for ablations: all messages are zero, so that nodes do not communicate.

    Args:
        out_channels: size of the messages.

    Example:
        >>> import torch
        >>> NoMessage(4)(torch.ones(2, 5, 3)).unique(), NoMessage(4)(torch.ones(2, 5, 3)).shape
        (tensor([0.]), torch.Size([2, 5, 4]))
    """

    static_graphs = True

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def forward(self, x: Tensor, *_: Any, return_attention_weights: bool = False, **__: Any) -> Tensor:
        """Zeros of the shape of x with the output channels; further arguments are ignored.

        Args:
            x: [..., C].
            return_attention_weights: must be False.

        Returns:
            [..., out_channels].

        Raises:
            ValueError: if attention weights are asked for.
        """
        if return_attention_weights:
            raise ValueError("NoMessage has no attention weights to return")
        return x.new_zeros(*x.shape[:-1], self.out_channels)


OPTIONS = {
    name: parameter.default
    for name, parameter in signature(LandmarkAttention).parameters.items()
    if parameter.default is not Parameter.empty
}
"""Options of :class:`LandmarkAttention`, and therefore of :func:`make_conv`, with their defaults."""


@keyword_hint
def make_conv(
    conv: str | ConvFactory = "attention", *, heads: int = 1, include_self: bool = False, **options: Any
) -> ConvFactory:
    """Turn the name of a graph operator into a function (in_channels, out_channels) -> module.

    The modules are called as :class:`LandmarkAttention` is. Self-loops in ``edge_index`` are ignored by all operators
    that have a name; ``include_self`` decides.

    Args:
        conv: one of ``CONVS``, or a function (in_channels, out_channels) -> module, called as ``module(x, edge_index)``
            with x [N, C]; the options below are then not passed on.
        heads: heads of the operators that have heads.
        include_self: whether a node's own features are part of its message, if the operator has a choice (gin always
            includes them).
        options: the other options of :class:`LandmarkAttention`. Of these gat, gatv2 and transformer have ``edge_dim``
            and ``dropout``; the other operators ignore them. gcn accepts edge weights [E] without an option.

    Returns:
        The function. Its modules take static graphs [B, L, C] too.

    Raises:
        ValueError: for an unknown name or option; when the function is called, if heads do not divide the channels.

    Example:
        >>> make_conv("gcn")(16, 32)
        StaticGraphConv(
          (conv): GCNConv(16, 32)
        )
    """
    if unknown := sorted(options.keys() - OPTIONS):
        raise ValueError(f"make_conv has no option {', '.join(unknown)}; it has: {', '.join(OPTIONS)}")
    if isinstance(conv, nn.Module) or (not callable(conv) and conv not in CONVS):
        raise ValueError(f"unknown conv {conv!r}; known: {', '.join(CONVS)}, or a function (in, out) -> module")
    if heads < 1:
        raise ValueError(f"heads must be 1 or more, got {heads}")
    settings = OPTIONS | {"heads": heads, "include_self": include_self} | options
    if not 0 <= settings["dropout"] < 1:
        raise ValueError(f"dropout must be 0 or more and less than 1, got {settings['dropout']}")
    shared = {name: settings[name] for name in ("heads", "edge_dim", "dropout")}

    def make(in_channels: int, out_channels: int) -> nn.Module:
        if callable(conv):
            operator = conv(in_channels, out_channels)
            return operator if getattr(operator, "static_graphs", False) else StaticGraphConv(operator)
        if conv == "none":
            return NoMessage(out_channels)
        if conv == "attention":
            return LandmarkAttention(in_channels, out_channels, **settings)
        layer: nn.Module
        if conv == "gcn":
            layer = GCNConv(in_channels, out_channels, add_self_loops=include_self)
        elif conv == "sage":
            layer = SAGEConv(in_channels, out_channels, root_weight=include_self)
        elif conv == "gin":
            layer = GINConv(nn.Linear(in_channels, out_channels))
        elif out_channels % heads:
            raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
        elif conv == "transformer":
            layer = TransformerConv(in_channels, out_channels // heads, root_weight=include_self, **shared)
            layer.lin_skip.requires_grad_(include_self)  # PyG makes it in any case, DDP waits for its gradient
        else:
            kind = GATConv if conv == "gat" else GATv2Conv
            layer = kind(in_channels, out_channels // heads, add_self_loops=include_self, **shared)
        return StaticGraphConv(layer, ignore_self_loops=True)

    return make
