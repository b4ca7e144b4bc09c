"""From a cell of the ablation to its cascade and its graph."""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ablation.cells import Cell
from ablation.features import Seen
from ablation.own import load_conv
from pyspiga_geo import Layout, SPIGACascade, SPIGAConfig
from pyspiga_geo.graph import contour_edges
from pyspiga_geo.nn import (
    CascadeOutput,
    LearnedPosition,
    NodeMLP,
    PositionFactory,
    RelativePositionEncoder,
    StepRegressor,
)

HEADS = 4
T = TypeVar("T")


class CellCascade(SPIGACascade):
    """The cascade of a cell. What its arguments do not offer is put together from the parts of its steps.

    Args:
        cell: what is special about it.
        layout: its landmarks.
        config: of the model whose backbone makes the feature maps; windows are as wide as that model's.
        feature_channels: of these maps, coarse to fine.
        channels: size of the node features.
        num_layers: graph layers of a step.

    Attributes:
        edge_index: the graph [2, E] of the cell; None is the complete one.
    """

    def __init__(
        self,
        cell: Cell,
        layout: Layout,
        config: SPIGAConfig,
        feature_channels: Sequence[int],
        channels: int,
        num_layers: int,
    ) -> None:
        super().__init__(
            len(layout),
            cell_maps(cell, feature_channels[0], feature_channels[-1]),
            cell.steps,
            num_layers,
            HEADS,
            load_conv(cell.conv),
            window=config.window if cell.windows == "shrinking" else [config.window / 2] * cell.steps,
            position=_position(cell.position, len(layout)),
            in_channels=1 if cell.visibility else 0,
            share_steps=cell.shared,
            node_channels=channels,
            hidden_channels=channels,
            samples=config.samples,
            include_self=cell.include_self,
            scale=True,
            heatmap_windows=cell.heatmaps,
            pre_norm=config.pre_norm,
        )
        if cell.looking > 1:
            looks = torch.arange(len(layout)) % cell.looking == 0
            self.steps = nn.ModuleList(_partly_blind(step, looks) for step in self.steps)
        if cell.shared:
            self.steps = nn.ModuleList(_with_norms_of_its_own(self.steps[0]) for _ in range(cell.steps))
        self.cell = cell
        self.edge_index = make_edges(cell, layout)

    def refine(self, seen: Seen) -> CascadeOutput:
        """The cascade of what the cell may know; each step learns from its own loss alone."""
        out: CascadeOutput = self(
            seen.initial,
            cell_maps(self.cell, seen.coarse_map, seen.feature_map),
            self.edge_index,
            x=seen.visible[..., None] if self.cell.visibility else None,
            heatmaps=seen.heatmaps if self.cell.heatmaps else None,
            detach_steps=True,
        )
        return out


def cell_maps(cell: Cell, coarse: T, fine: T) -> list[T]:
    """Which of the two maps each step looks at."""
    return [coarse if cell.maps == "both" and step == 0 else fine for step in range(cell.steps)]


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


def _position(kind: str, num_landmarks: int) -> str | PositionFactory:
    """The cascade's argument ``position``."""
    kinds: dict[str, str | PositionFactory] = {
        "relative": "ordered",
        "bottleneck": lambda channels: RelativePositionEncoder(num_landmarks, channels, hidden_channels=(8,)),
        "absolute": AbsolutePosition,
        "both": lambda channels: AbsolutePosition(channels, RelativePositionEncoder(num_landmarks, channels)),
        "unknown": lambda channels: _names(num_landmarks, channels),
    }
    return kinds[kind]


def _names(num_landmarks: int, channels: int) -> LearnedPosition:
    """Which landmark it is, at first as large as what it sees: six epochs would not make it so."""
    names = LearnedPosition(num_landmarks, channels)
    nn.init.normal_(names.vectors)
    return names


class AbsolutePosition(nn.Module):
    """Tell each landmark where itself lies, r_i = MLP(p_i); added to what another encoding tells, if there is one."""

    def __init__(self, channels: int, other: nn.Module | None = None) -> None:
        super().__init__()
        self.mlp = NodeMLP([2, 256, 256, channels])
        self.other = other

    def forward(self, pos: Tensor, *graph: Any, **options: Any) -> Tensor:
        """Embed positions [B, L, 2]."""
        told: Tensor = self.mlp(pos)
        return told if self.other is None else told + self.other(pos, *graph, **options)


class SomeLook(nn.Module):
    """A visual window for some landmarks; to the others the picture says nothing."""

    looks: Tensor

    def __init__(self, visual: nn.Module, looks: Tensor) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("looks", looks.float()[:, None])

    def forward(self, feature_map: Tensor, pos: Tensor, window: float) -> Tensor:
        """As ``visual``, zero for landmarks that do not look."""
        seen: Tensor = self.looks * self.visual(feature_map, pos, window)
        return seen


def _partly_blind(step: StepRegressor, looks: Tensor) -> StepRegressor:
    """A step of the same parts whose windows are open to some landmarks [L] only."""
    return StepRegressor(
        SomeLook(step.visual, looks),
        step.relative,
        list(step.blocks),
        step.decoder,
        bound=step.bound_kind,
        own=step.own,
        extra=step.extra,
    )


def _with_norms_of_its_own(step: StepRegressor) -> StepRegressor:
    """A step with the same linear maps. Norms are not shared: statistics differ with the size of the windows."""
    modules = [module for module in step.modules() if not isinstance(module, nn.BatchNorm1d)]
    shared = [value for module in modules for value in module.parameters(recurse=False)]
    return copy.deepcopy(step, {id(value): value for value in shared})  # what is named here is not copied
