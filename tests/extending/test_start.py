"""A start of one's own: the landmarks of the frame before, as in a film."""

import torch
from torch import nn

from pyspiga_geo import SPIGA


class FrameBefore(nn.Module):
    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first, self.before = first, None

    def forward(self, seen):
        return self.first(seen) if self.before is None else self.before


def test_model_with_it():
    usual = SPIGA.from_preset("compact").eval()
    start = FrameBefore(usual.start)
    model = SPIGA(usual.backbone, start, usual.cascade, usual.layout, config=usual.config)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        first = model(image)
        start.before = first.landmarks
        second = model(image)
    assert torch.equal(first.landmarks, usual(image).landmarks)
    assert torch.equal(second.initial, first.landmarks)
    assert not torch.equal(second.landmarks, first.landmarks)
