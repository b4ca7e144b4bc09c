"""A graph operator of one's own: each landmark hears the mean of its neighbours."""

import torch
from torch import nn
from torch_geometric.nn import MessagePassing

from pyspiga_geo import SPIGACascade


class MeanConv(MessagePassing):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(aggr="mean")
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=self.lin(x))


def test_cascade_with_it():
    cascade = SPIGACascade(5, 3, num_steps=2, conv=MeanConv, node_channels=16, hidden_channels=16)
    pos, feature_map = torch.rand(4, 5, 2), torch.rand(4, 3, 16, 16)
    cascade(pos, feature_map).pos.square().sum().backward()
    own = [module for module in cascade.modules() if isinstance(module, MeanConv)]
    assert len(own) == 2 * 4  # steps x layers
    assert all(conv.lin.weight.grad.abs().sum() > 0 for conv in own)
