"""A head of one's own on the node features of the cascade: which landmarks can be seen."""

import torch
import torch.nn.functional as F
from torch import nn

from pyspiga_geo import SPIGACascade


def test_visibility_is_learnt():
    torch.manual_seed(0)
    cascade = SPIGACascade(5, 1, num_steps=1, num_layers=1, norm="layer_norm", node_channels=32, hidden_channels=32)
    visibility = nn.Linear(32, 1)
    pos = (0.1 + 0.2 * torch.arange(5.0))[:, None].expand(1, 5, 2)  # one start for all
    optimizer = torch.optim.Adam([*cascade.parameters(), *visibility.parameters()], lr=3e-3)
    for _ in range(60):
        hidden = torch.rand(16, 5) < 0.5
        picture = torch.ones(16, 1, 10, 10)
        picture[:, 0, range(1, 10, 2), range(1, 10, 2)] = hidden.float()  # a hidden landmark is bright
        logits = visibility(cascade(pos, picture).x).squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logits, (~hidden).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((logits < 0) == hidden).float().mean() > 0.95
