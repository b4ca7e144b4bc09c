"""From a cell of the ablation to its cascade and its graph, and the parts that only some cells have."""

import torch
from torch import Tensor, nn

from ablation.cells import Cell
from pyspiga_geo.graph import contour_edges
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGAConfig
from pyspiga_geo.nn import NodeMLP, RelativePositionEncoder, SPIGACascade, StepRegressor, VisualWindow

HEADS = 4


def make_cascade(
    cell: Cell, layout: Layout, config: SPIGAConfig, channels: int, num_layers: int
) -> SPIGACascade:
    """Build the cascade of a cell with node features of ``channels``; windows are those of the model's own."""
    cascade = SPIGACascade(
        len(layout),
        config.channels,
        cell.steps,
        num_layers,
        HEADS,
        cell.conv,
        window=config.window,
        node_channels=channels,
        hidden_channels=channels,
        samples=config.samples,
        scale=True,
        include_self=cell.include_self,
        heatmap_windows=cell.heatmaps,
    )
    for step in cascade.steps:
        assert isinstance(step, StepRegressor)
        if cell.windows == "constant":
            step.window = config.window / 2
        step.relative = _position_encoder(cell.position, len(layout), channels, step.relative)
        if cell.visibility:
            step.relative = Sum(step.relative, Visibility(channels))
        if cell.looking > 1:
            step.visual = SomeLook(step.visual, len(layout), cell.looking)
    if cell.shared:
        _share_linear_maps(cascade)
    return cascade


def make_edges(cell: Cell, layout: Layout, neighbours: int = 6) -> Tensor | None:
    """The graph [2, E] of a cell; None is the complete one."""
    if cell.graph == "complete":
        return None
    if cell.graph == "contour":
        return contour_edges(layout)
    points = torch.tensor(layout.shape3d)
    distance = torch.cdist(points, points).fill_diagonal_(torch.inf)
    source = distance.topk(neighbours, largest=False).indices
    target = torch.arange(len(layout))[:, None].expand_as(source)
    return torch.stack([source.flatten(), target.flatten()])


def _position_encoder(kind: str, num_landmarks: int, channels: int, relative: nn.Module) -> nn.Module:
    if kind == "bottleneck":
        return RelativePositionEncoder(num_landmarks, channels, hidden_channels=(8,))
    if kind == "absolute":
        return AbsolutePosition(channels)
    if kind == "both":
        return Sum(relative, AbsolutePosition(channels))
    if kind == "unknown":
        return LandmarkName(num_landmarks, channels)
    return relative


class AbsolutePosition(nn.Module):
    """Tell each landmark where itself lies: r_i = MLP(p_i)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = NodeMLP([2, 256, 256, channels])

    def forward(self, pos: Tensor) -> Tensor:
        """Embed positions [B, L, 2]."""
        return self.mlp(pos)


class LandmarkName(nn.Module):
    """Tell each landmark which one it is and nothing about positions: a learned vector r_i."""

    def __init__(self, num_landmarks: int, channels: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(num_landmarks, channels))

    def forward(self, pos: Tensor) -> Tensor:
        """The vectors [B, L, C] for positions [B, L, 2]."""
        return self.names.expand(len(pos), -1, -1)


class Visibility(nn.Module):
    """Tell each landmark whether something hides it, whatever the positions: a learned vector for each of the two."""

    visible: Tensor
    """[B, L]: 1 where nothing stands before the landmark. Set before each call, as a cascade passes positions only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(2, channels)

    def forward(self, pos: Tensor) -> Tensor:
        """The vectors [B, L, C] for positions [B, L, 2]."""
        found: Tensor = self.vectors(self.visible.long())
        return found


class Sum(nn.Module):
    """What two encoders tell a landmark, added."""

    def __init__(self, *encoders: nn.Module) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, pos: Tensor) -> Tensor:
        """Embed positions [B, L, 2]."""
        return torch.stack([encoder(pos) for encoder in self.encoders]).sum(dim=0)


class SomeLook(nn.Module):
    """A visual window for one landmark in so many; to the others the picture says nothing."""

    looks: Tensor

    def __init__(self, visual: VisualWindow, num_landmarks: int, one_in: int) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("looks", (torch.arange(num_landmarks) % one_in == 0).float()[:, None])

    def forward(self, feature_map: Tensor, pos: Tensor, window: float) -> Tensor:
        """As :class:`VisualWindow`, zero for landmarks that do not look."""
        return self.looks * self.visual(feature_map, pos, window)


def _share_linear_maps(cascade: SPIGACascade) -> None:
    """Let all steps use the first one's linear maps; normalisation stays each step's own, as windows differ."""
    first = dict(cascade.steps[0].named_modules())
    for step in list(cascade.steps)[1:]:
        for name, module in step.named_modules():
            for parameter in ("weight", "bias"):
                value = getattr(module, parameter, None)
                if isinstance(value, nn.Parameter) and not isinstance(module, nn.BatchNorm1d):
                    setattr(module, parameter, getattr(first[name], parameter))
