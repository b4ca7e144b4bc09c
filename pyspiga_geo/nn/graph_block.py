"""The residual update of node features around any graph operator."""

from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.nn.convs import ConvFactory, make_conv
from pyspiga_geo.nn.landmark_attention import LandmarkAttention
from pyspiga_geo.nn.mlp import NodeMLP


class GraphBlock(nn.Module):
    r"""One layer of a cascade step: exchange messages, then update.

    .. math::
        \mathbf{f} \leftarrow \mathbf{f} + \mathrm{MLP}([\mathbf{f} \,\Vert\, \mathbf{m}])

    The MLP has one hidden layer of 2 x ``in_channels``. Where the width changes, the skip is a linear map.

    Args:
        in_channels: node features in; messages have the same size.
        out_channels: node features out.
        conv: graph operator, see :func:`pyspiga_geo.nn.make_conv`.
        **conv_options: ``heads``, ``include_self``, ``scale``, ``out_proj`` of the same function.

    Shapes:
        - **x**: ``[N, in_channels]`` or static ``[B, L, in_channels]``
        - **edge_index**: ``[2, E]`` or None (complete graph)
        - **output**: like x, with ``out_channels``
    """

    def __init__(
        self, in_channels: int, out_channels: int, conv: str | ConvFactory = "attention", **conv_options: Any
    ) -> None:
        super().__init__()
        self.conv = make_conv(conv, in_channels, in_channels, **conv_options)
        self.update = NodeMLP([2 * in_channels, 2 * in_channels, out_channels])
        same = in_channels == out_channels
        self.skip: nn.Module = nn.Identity() if same else nn.Linear(in_channels, out_channels)

    def forward(
        self, x: Tensor, edge_index: Tensor | None = None, return_attention_weights: bool = False
    ) -> Any:
        """Return the updated features; with ``return_attention_weights`` also the attention of the layer.

        Raises:
            ValueError: when attention is asked of an operator that has none to show.
        """
        if not return_attention_weights:
            return self._updated(x, self.conv(x, edge_index))
        if not isinstance(self.conv, LandmarkAttention):
            raise ValueError("only conv='attention' returns attention weights")
        message, attention = self.conv(x, edge_index, return_attention_weights=True)
        return self._updated(x, message), attention

    def _updated(self, x: Tensor, message: Tensor) -> Tensor:
        out: Tensor = self.skip(x) + self.update(torch.cat([x, message], dim=-1))
        return out
