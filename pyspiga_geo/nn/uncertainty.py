"""Uncertainty of the landmarks: a covariance, and whether the landmark is visible."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyspiga_geo.nn.checks import check_shape
from pyspiga_geo.nn.convs import ConvFactory, make_conv
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.mlp import NodeMLP
from pyspiga_geo.nn.visual_window import VisualWindow

SMALLEST, LARGEST = 1e-4, 1.0
"""Bounds of the standard deviation along x and y before calibration, as a fraction of the map."""

STRONGEST = 0.99
"""Largest absolute correlation of x and y."""


class UncertaintyOutput(NamedTuple):
    """Output of :class:`UncertaintyHead` for L landmarks in B maps.

    Example:
        >>> said = UncertaintyHead(5, 8, 4)(torch.rand(2, 5, 8), torch.rand(2, 4, 16, 16), torch.rand(2, 5, 2))
        >>> (torch.linalg.eigvalsh(said.covariance) > 0).all()
        tensor(True)
    """

    covariance: Tensor
    """[B, L, 2, 2]: symmetric and positive definite, in squared units of positions over the map."""
    visible: Tensor
    """[B, L]: logit of the probability that the landmark is visible."""


class UncertaintyHead(nn.Module):
    r"""Covariance and visibility of landmarks, from their node features after a cascade and a window of the map.

    The node features say where to move; an occluder shows better in the map itself. So f = x + v, with v from a window
    of the map around each landmark (:class:`VisualWindow`); then one graph layer, because an occluder usually covers
    neighbouring landmarks too; then per landmark the logarithms of two standard deviations, a correlation and a logit,

    .. math::
        \Sigma = \begin{pmatrix} \sigma_x^2 & \rho \sigma_x \sigma_y \\ \rho \sigma_x \sigma_y & \sigma_y^2
        \end{pmatrix}, \qquad 10^{-4} < \sigma < 1, \quad |\rho| < 0.99 .

    Both deviations are then multiplied by ``spread``, one number for the model, 1 until it is calibrated, because
    errors on unseen faces may be larger or smaller. The bounds are smooth, so that every finite feature gives an
    invertible matrix. Each landmark has a bias of its own: annotators agree on the corner of an eye, but not on where
    along the jaw a point lies.

    Args:
        num_landmarks: L.
        channels: size of the node features, ``hidden_channels`` of :class:`SPIGACascade`.
        feature_channels: channels of the map.
        heads: attention heads of the graph layer.
        conv: graph operator of that layer, see :func:`make_conv`.
        window: side of the window as a fraction of the map.
        samples: points along each side of the window.

    Shapes:
        - **x**: ``[B, L, channels]``, node features
        - **feature_map**: ``[B, feature_channels, H, W]``
        - **pos**: ``[B, L, 2]``, (x, y) over the map, pixel index / resolution
        - **edge_index**: ``[2, E]`` over the landmarks, or None (complete graph)
        - **output**: :class:`UncertaintyOutput`

    Raises:
        ValueError: if ``heads`` does not divide ``channels``, or features have another shape.

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
        conv: str | ConvFactory = "attention",
        window: float = 0.16,
        samples: int = 3,
    ) -> None:
        super().__init__()
        self.num_landmarks = num_landmarks
        self.channels = channels
        self.window = window
        self.visual = VisualWindow(feature_channels, channels, samples)
        self.norm = nn.LayerNorm(channels)
        self.block = GraphBlock(channels, channels, make_conv(conv, heads=heads, scale=True), norm="none")
        self.decoder = NodeMLP([channels, channels, 4], norm="none")
        self.bias = nn.Parameter(torch.zeros(num_landmarks, 4))
        self.register_buffer("spread", torch.ones(()))

    def forward(
        self, x: Tensor, feature_map: Tensor, pos: Tensor, edge_index: Tensor | None = None
    ) -> UncertaintyOutput:
        """Estimate covariances and visibility; the class lists the shapes.

        The result is in single precision or better, whatever the precision of the layers.

        Args:
            x: node features.
            feature_map: the map.
            pos: positions of the landmarks.
            edge_index: edges between landmarks. Default: the complete graph.
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
