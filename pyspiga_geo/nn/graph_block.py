"""The residual update of node features around any graph operator."""

from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.nn.convs import ConvFactory, make_conv
from pyspiga_geo.nn.mlp import NodeMLP


class GraphBlock(nn.Module):
    r"""One layer of a cascade step: exchange messages, then update.

    .. math::
        \mathbf{f} \leftarrow \mathbf{f} + \mathrm{MLP}([\mathbf{f} \,\Vert\, \mathbf{m}])

    The MLP has one hidden layer of 2 x ``in_channels``. Where the width changes, the skip is a linear map.

    Args:
        in_channels: node features in; messages have the same size.
        out_channels: node features out.
        conv: graph operator, as :func:`make_conv` takes it; what it returns is one, with options.
        norm: of the MLP (:class:`NodeMLP`).

    Raises:
        ValueError: when attention is asked of an operator that has none, or messages have a wrong size.

    Example:
        >>> GraphBlock(16, 32, make_conv("attention", heads=4))(torch.rand(2, 68, 16)).shape
        torch.Size([2, 68, 32])
    """

    def __init__(
        self, in_channels: int, out_channels: int, conv: str | ConvFactory = "attention", norm: str = "batch_norm"
    ) -> None:
        super().__init__()
        self.conv = make_conv(conv)(in_channels, in_channels)
        self.update = NodeMLP([2 * in_channels, 2 * in_channels, out_channels], norm)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Linear(in_channels, out_channels)

    def forward(
        self, x: Tensor, edge_index: Any = None, *, return_attention_weights: bool = False, **options: Any
    ) -> Any:
        """Update features [N, C] or [B, L, C]; with ``return_attention_weights`` also return the layer's attention.

        ``edge_index`` and the options that are not None (``edge_attr``, ``mask``, ``batch``) go to the operator.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if return_attention_weights:
            message, attention = self.conv(x, edge_index, **given, return_attention_weights=True)
        else:
            message, attention = self.conv(x, edge_index, **given), None
        if message.shape != x.shape:
            name = type(getattr(self.conv, "conv", self.conv)).__name__
            raise ValueError(
                f"{name} must return messages of {x.size(-1)} channels, got {message.size(-1)}: a convolution whose "
                "heads multiply its channels needs out_channels / heads"
            )
        x = self.skip(x) + self.update(torch.cat([x, message], dim=-1), given.get("mask"))
        return (x, attention) if return_attention_weights else x
