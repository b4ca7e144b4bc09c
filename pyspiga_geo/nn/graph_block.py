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

    The MLP has one hidden layer of 2 x ``in_channels``. If the width changes, the skip connection is a linear map. With
    ``pre_norm`` operator and MLP read layer-normalised features: attention stays soft however large features grow.

    Args:
        in_channels: size of the node features before; messages have the same size.
        out_channels: size of the node features after.
        conv: graph operator, as :func:`make_conv` takes it, or a function that :func:`make_conv` returned.
        norm: normalisation in the MLP (:class:`NodeMLP`).
        pre_norm: whether operator and MLP read layer-normalised features (in neither paper nor reference).

    Raises:
        ValueError: if attention weights are asked of an operator that has none, or messages have the wrong size.

    Example:
        >>> GraphBlock(16, 32, make_conv("attention", heads=4))(torch.rand(2, 68, 16)).shape
        torch.Size([2, 68, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv: str | ConvFactory = "attention",
        norm: str = "batch_norm",
        *,
        pre_norm: bool = False,
    ) -> None:
        super().__init__()
        self.pre_norm = nn.LayerNorm(in_channels) if pre_norm else nn.Identity()
        self.conv = make_conv(conv)(in_channels, in_channels)
        self.update = NodeMLP([2 * in_channels, 2 * in_channels, out_channels], norm)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Linear(in_channels, out_channels)

    def forward(
        self, x: Tensor, edge_index: Any = None, *, return_attention_weights: bool = False, **options: Any
    ) -> Any:
        """Update node features.

        Args:
            x: [N, in_channels] or [B, L, in_channels].
            edge_index: as the operator takes it. Default: the complete graph.
            return_attention_weights: also return the layer's attention.
            options: ``edge_attr``, ``mask`` and ``batch``, passed to the operator unless None.

        Returns:
            Features [..., out_channels]; with ``return_attention_weights`` the pair (features, attention).

        Raises:
            ValueError: if the operator's messages have the wrong size.
        """
        skip, x = self.skip(x), self.pre_norm(x)
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
        x = skip + self.update(torch.cat([x, message], dim=-1), given.get("mask"))
        return (x, attention) if return_attention_weights else x
