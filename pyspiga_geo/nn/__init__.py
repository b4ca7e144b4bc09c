"""Graph operators on landmarks, one a file: they know tensors and edges, nothing of faces or files."""

from pyspiga_geo.nn.cascade import CascadeOutput, SPIGACascade
from pyspiga_geo.nn.convs import CONVS, ConvFactory, NoMessage, StaticGraphConv, make_conv
from pyspiga_geo.nn.graph_block import GraphBlock
from pyspiga_geo.nn.landmark_attention import LandmarkAttention
from pyspiga_geo.nn.mlp import NodeMLP
from pyspiga_geo.nn.relative_position import RelativePositionEncoder
from pyspiga_geo.nn.step_regressor import BOUNDS, StepRegressor
from pyspiga_geo.nn.visual_window import HeatmapWindow, VisualWindow

__all__ = [
    "BOUNDS",
    "CONVS",
    "CascadeOutput",
    "ConvFactory",
    "GraphBlock",
    "HeatmapWindow",
    "LandmarkAttention",
    "NoMessage",
    "NodeMLP",
    "RelativePositionEncoder",
    "SPIGACascade",
    "StaticGraphConv",
    "StepRegressor",
    "VisualWindow",
    "make_conv",
]
