"""Graph operators on landmarks, one per file: they know tensors and edges, nothing about faces or files."""

from pyspiga_geo.nn.cascade import CascadeOutput, SPIGACascade
from pyspiga_geo.nn.convs import CONVS, ConvFactory, NoMessage, make_conv
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.landmark_attention import LandmarkAttention
from pyspiga_geo.nn.mlp import NORMS, NodeMLP
from pyspiga_geo.nn.position import (
    POSITIONS,
    LearnedPosition,
    PooledPositionEncoder,
    PositionFactory,
    RelativePositionEncoder,
    make_position,
)
from pyspiga_geo.nn.shape_prior import ShapePrior
from pyspiga_geo.nn.static_graph_conv import StaticGraphConv
from pyspiga_geo.nn.step_regressor import BOUNDS, StepOutput, StepRegressor
from pyspiga_geo.nn.uncertainty import UncertaintyHead, UncertaintyOutput
from pyspiga_geo.nn.visual_window import HeatmapWindow, VisualWindow, sample_windows

__all__ = [
    "BOUNDS", "CONVS", "NORMS", "POSITIONS",
    "SPIGACascade", "CascadeOutput", "StepRegressor", "StepOutput", "GraphBlock", "NodeMLP",
    "LandmarkAttention", "NoMessage", "StaticGraphConv", "make_conv", "ConvFactory",
    "RelativePositionEncoder", "LearnedPosition", "PooledPositionEncoder", "make_position", "PositionFactory",
    "VisualWindow", "HeatmapWindow", "sample_windows",
    "UncertaintyHead", "UncertaintyOutput", "ShapePrior",
]  # fmt: skip
