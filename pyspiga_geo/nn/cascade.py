"""The cascade: a landmark graph walks over a feature map to where it belongs."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from pyspiga_geo.nn.convs import ConvFactory
from pyspiga_geo.nn.step_regressor import StepRegressor


class CascadeOutput(NamedTuple):
    """What a cascade returns. Positions are in the units and shape of the ``pos`` it was given."""

    pos: Tensor
    """Final positions."""
    steps: list[Tensor]
    """Positions after each step; the last is ``pos``."""
    attention: list[Tensor] | None
    """On request, the attention [B, heads, L, L] of every layer of every step, in order: the dynamic adjacency."""


class SPIGACascade(nn.Module):
    r"""Refine landmarks step by step: x_t = x_{t-1} + dx_t, with windows that halve from step to step.

    The layer needs nothing but positions and a feature map, of faces or of anything else.

    Args:
        num_landmarks: L, two or more.
        feature_channels: channels C of the feature map.
        num_steps: K.
        num_layers: graph layers of a step.
        heads: attention heads.
        conv: graph operator: a name (``"attention"``, ``"gcn"``, ``"gat"``, ``"gatv2"``, ``"sage"``, ``"gin"``,
            ``"transformer"``, ``"none"``) or a function (in_channels, out_channels) -> module.
        window: w of the first step as a fraction of the map; step t uses w / 2^t and moves at most half of it.
        node_channels: size of the node features f = v + r.
        hidden_channels: size of the node features after the first layer.
        samples: points along each side of the visual window.
        bound: ``"arctan"`` (paper) or ``"hardtanh"`` (reference).
        include_self: whether a landmark attends to itself (reference: yes; paper: no).
        scale: divide the similarity by the root of a head's channels (reference: yes; paper: no).
        out_proj: linear map of the concatenated messages (reference: yes; paper: no).
        heatmap_windows: whether each landmark also looks at a heatmap of its own (neither paper nor reference).

    Shapes:
        - **pos**: ``[B, L, 2]`` or ``[B * L, 2]``, (x, y) over the map, 0..1 (pixel index / resolution)
        - **feature_map**: ``[B, C, H, W]``
        - **edge_index**: ``[2, E]`` over the L landmarks, the same graph for every item, or None (complete)
        - **heatmaps**: ``[B, L, H, W]``, logarithm of a density for each landmark, where heatmap_windows is set
    """

    def __init__(
        self,
        num_landmarks: int,
        feature_channels: int,
        num_steps: int = 3,
        num_layers: int = 4,
        heads: int = 4,
        conv: str | ConvFactory = "attention",
        *,
        window: float = 0.25,
        node_channels: int = 512,
        hidden_channels: int = 256,
        samples: int = 7,
        bound: str = "arctan",
        include_self: bool = False,
        scale: bool = False,
        out_proj: bool = False,
        heatmap_windows: bool = False,
    ) -> None:
        super().__init__()
        self.num_landmarks = num_landmarks
        self.feature_channels = feature_channels
        self.heatmap_windows = heatmap_windows
        self.steps = nn.ModuleList(
            StepRegressor(
                num_landmarks,
                feature_channels,
                window / 2**step,
                node_channels=node_channels,
                hidden_channels=hidden_channels,
                num_layers=num_layers,
                samples=samples,
                conv=conv,
                bound=bound,
                heads=heads,
                include_self=include_self,
                scale=scale,
                out_proj=out_proj,
                heatmap_windows=heatmap_windows,
            )
            for step in range(num_steps)
        )

    def forward(
        self,
        pos: Tensor,
        feature_map: Tensor,
        edge_index: Tensor | None = None,
        return_attention: bool = False,
        heatmaps: Tensor | None = None,
        detach_steps: bool = False,
    ) -> CascadeOutput:
        """Refine ``pos`` over ``feature_map``.

        With ``detach_steps`` no gradient runs from a step into the one before, nor into ``pos``: each step learns
        to correct what it is given.

        Raises:
            ValueError: when the shapes do not fit, or attention is asked of an operator without.
        """
        shape = pos.shape
        pos = self._as_static(pos, feature_map)
        self._check_heatmaps(heatmaps, feature_map.size(0))
        steps: list[Tensor] = []
        attention: list[Tensor] = []
        for step in self.steps:
            if detach_steps:
                pos = pos.detach()
            moved: Any = step(pos, feature_map, edge_index, return_attention, heatmaps)
            if return_attention:
                moved, alphas = moved
                attention.extend(alphas)
            pos = pos + moved  # x_t = x_{t-1} + dx_t
            steps.append(pos.reshape(shape))
        return CascadeOutput(pos.reshape(shape), steps, attention if return_attention else None)

    def _as_static(self, pos: Tensor, feature_map: Tensor) -> Tensor:
        if feature_map.dim() != 4 or feature_map.size(1) != self.feature_channels:
            raise ValueError(
                f"feature_map must be [B, {self.feature_channels}, H, W], got {list(feature_map.shape)}"
            )
        expected = (feature_map.size(0), self.num_landmarks, 2)
        flat = (expected[0] * expected[1], 2)
        if tuple(pos.shape) not in (expected, flat):
            raise ValueError(
                f"pos must be {list(expected)} or {list(flat)} for this feature map, got {list(pos.shape)}"
            )
        return pos.reshape(expected)

    def _check_heatmaps(self, heatmaps: Tensor | None, batch_size: int) -> None:
        if (heatmaps is not None) != self.heatmap_windows:
            wanted = "needs" if self.heatmap_windows else "has no windows on"
            raise ValueError(f"this cascade {wanted} heatmaps (heatmap_windows={self.heatmap_windows})")
        expected = (batch_size, self.num_landmarks)
        if heatmaps is not None and (heatmaps.dim() != 4 or tuple(heatmaps.shape[:2]) != expected):
            raise ValueError(
                f"heatmaps must be [{batch_size}, {self.num_landmarks}, H, W], got {list(heatmaps.shape)}"
            )
