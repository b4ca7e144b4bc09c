"""How sure the cascade is of each landmark: a covariance, and whether the landmark can be seen."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyspiga_geo.nn.checks import check_shape
from pyspiga_geo.nn.convs import make_conv
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.mlp import NodeMLP
from pyspiga_geo.nn.visual_window import VisualWindow

SMALLEST, LARGEST = 1e-4, 1.0
"""Between which the standard deviation along x and y lies before it is calibrated, as a share of the map."""

STRONGEST = 0.99
"""Largest correlation of x and y either way."""


class UncertaintyOutput(NamedTuple):
    """What the head says of L landmarks in B maps."""

    covariance: Tensor
    """[B, L, 2, 2]: symmetric and positive definite, in the square of the units of positions over the map."""
    visible: Tensor
    """[B, L]: logit of the probability that the landmark can be seen."""


class UncertaintyHead(nn.Module):
    r"""Covariance and visibility of landmarks from their node features after a cascade, and one more look at the map.

    The features are those that say where to move; what hides a landmark shows better in the map itself. So f = x + v,
    with v from a window of the map around each landmark (:class:`VisualWindow`); then one more graph layer, for what
    hides a landmark is near its neighbours; then per landmark the logarithms of two standard deviations, a correlation
    and a logit,

    .. math::
        \Sigma = \begin{pmatrix} \sigma_x^2 & \rho \sigma_x \sigma_y \\ \rho \sigma_x \sigma_y & \sigma_y^2
        \end{pmatrix}, \qquad 10^{-4} < \sigma < 1, \quad |\rho| < 0.99 .

    Both deviations are then multiplied by ``spread``, one number for the model, 1 until it is calibrated: errors on
    faces that nobody has trained on may be larger or smaller. The bounds are smooth, so that every finite feature gives
    a matrix that can be inverted. Each landmark has a bias of its own: annotators agree on the corner of an eye, and
    not on where a point of the jaw is along it.

    Args:
        num_landmarks: L.
        channels: size of the node features, ``hidden_channels`` of :class:`SPIGACascade`.
        feature_channels: channels of the map.
        heads: attention heads of the graph layer.
        window: side of the window as a fraction of the map.
        samples: points along each side of the window.

    Raises:
        ValueError: when ``heads`` does not divide ``channels``, or for features of another shape.

    Example:
        >>> head = UncertaintyHead(68, 64, feature_channels=8)
        >>> said = head(torch.rand(2, 68, 64), torch.rand(2, 8, 16, 16), torch.rand(2, 68, 2))
        >>> said.covariance.shape, said.visible.shape
        (torch.Size([2, 68, 2, 2]), torch.Size([2, 68]))
    """

    spread: Tensor

    def __init__(
        self,
        num_landmarks: int,
        channels: int,
        feature_channels: int,
        heads: int = 4,
        *,
        window: float = 0.16,
        samples: int = 3,
    ) -> None:
        super().__init__()
        self.num_landmarks = num_landmarks
        self.channels = channels
        self.window = window
        self.visual = VisualWindow(feature_channels, channels, samples)
        self.norm = nn.LayerNorm(channels)
        self.block = GraphBlock(channels, channels, make_conv(heads=heads, scale=True), norm="none")
        self.decoder = NodeMLP([channels, channels, 4], norm="none")
        self.bias = nn.Parameter(torch.zeros(num_landmarks, 4))
        self.register_buffer("spread", torch.ones(()))

    def forward(
        self, x: Tensor, feature_map: Tensor, pos: Tensor, edge_index: Tensor | None = None
    ) -> UncertaintyOutput:
        """Read node features [B, L, channels] and a map [B, feature_channels, h, w] around positions [B, L, 2].

        The result is in single precision or better, whatever that of the layers.
        """
        check_shape("x", x, ["B", self.num_landmarks, self.channels])
        check_shape("pos", pos, [x.size(0), self.num_landmarks, 2])
        f = self.norm(x.to(self.bias.dtype) + self.visual(feature_map, pos, self.window))
        said = self.decoder(self.block(f, edge_index)) + self.bias
        said = said.to(torch.promote_types(said.dtype, torch.float32))
        middle, reach = math.log(SMALLEST * LARGEST) / 2, math.log(LARGEST / SMALLEST) / 2
        sigma = self.spread * torch.exp(middle + reach * torch.tanh(said[..., :2] / reach))
        rho = STRONGEST * torch.tanh(said[..., 2])
        both = rho * sigma[..., 0] * sigma[..., 1]
        across = torch.stack([both, both], dim=-1)
        covariance = torch.diag_embed(sigma.square()) + torch.diag_embed(across).flip(-1)
        return UncertaintyOutput(covariance, said[..., 3])
