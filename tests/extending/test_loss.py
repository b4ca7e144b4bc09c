"""A loss of one's own: the cascade is an ordinary module, so its loop is an ordinary loop. Here with the wing loss."""

import torch
from torch import Tensor

from pyspiga_geo import SPIGACascade


def wing_loss(found: Tensor, true: Tensor, width: float = 0.1, bend: float = 0.02) -> Tensor:
    """Feng et al., CVPR 2018: logarithmic for distances below ``width``, linear above."""
    gap = (found - true).abs()
    near = width * torch.log1p(gap / bend)
    offset = width - width * torch.log1p(torch.tensor(width / bend))
    return torch.where(gap < width, near, gap - offset).mean()


def test_cascade_learns_from_it():
    torch.manual_seed(0)
    sizes = {"num_steps": 1, "num_layers": 1, "node_channels": 32, "hidden_channels": 32, "samples": 3}
    cascade = SPIGACascade(3, 1, norm="layer_norm", **sizes)
    optimizer = torch.optim.Adam(cascade.parameters(), lr=3e-3)
    start = torch.tensor([[0.4, 0.5], [0.5, 0.5], [0.6, 0.5]]).expand(16, 3, 2)
    losses = []
    for _ in range(300):
        brightness = torch.rand(16, 1, 1, 1)
        true = start + 0.1 * (brightness.view(16, 1, 1) - 0.5)  # the brighter the picture, the further down right
        out = cascade(start, brightness.expand(16, 1, 16, 16))
        loss = torch.stack([wing_loss(pos, true) for pos in out.steps]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-50:]) / 50 < 0.3 * sum(losses[:5]) / 5  # single losses vary with the brightness
