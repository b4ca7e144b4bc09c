"""Graph operators on landmarks, one a file: they know tensors and edges, nothing of faces or files."""

from pyspiga_geo.nn.cascade import CascadeOutput, SPIGACascade
from pyspiga_geo.nn.convs import CONVS, ConvFactory, NoMessage, make_conv
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.landmark_attention import LandmarkAttention
from pyspiga_geo.nn.mlp import NORMS, NodeMLP
from pyspiga_geo.nn.position import (
    POSITIONS,
    LearnedPosition,
    NoPosition,
    PooledPositionEncoder,
    PositionFactory,
    RelativePositionEncoder,
    make_position,
)
from pyspiga_geo.nn.static_graph_conv import StaticGraphConv
from pyspiga_geo.nn.step_regressor import BOUNDS, StepOutput, StepRegressor
from pyspiga_geo.nn.visual_window import HeatmapWindow, VisualWindow, sample_windows

__all__ = [
    "BOUNDS",
    "CONVS",
    "CascadeOutput",
    "ConvFactory",
    "GraphBlock",
    "HeatmapWindow",
    "LandmarkAttention",
    "LearnedPosition",
    "NORMS",
    "NoMessage",
    "NoPosition",
    "NodeMLP",
    "POSITIONS",
    "PooledPositionEncoder",
    "PositionFactory",
    "RelativePositionEncoder",
    "SPIGACascade",
    "StaticGraphConv",
    "StepOutput",
    "StepRegressor",
    "VisualWindow",
    "make_conv",
    "make_position",
    "sample_windows",
]
