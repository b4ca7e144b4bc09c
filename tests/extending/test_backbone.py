"""A backbone of one's own: one convolution. Registered, it is saved and loaded like the others."""

import torch
from torch import nn

from pyspiga_geo import SPIGA
from pyspiga_geo.backbones import BackboneOutput, PoseHead, StackOutput, register_backbone, soft_argmax


class OneConv(nn.Module):
    def __init__(self, num_landmarks: int, width: int) -> None:
        super().__init__()
        self.channels, self.strides = (width,), (8,)
        self.look = nn.Conv2d(3, width, 8, stride=8)
        self.pose = PoseHead(width)
        self.heatmaps = nn.Conv2d(width, num_landmarks, 1)

    def forward(self, images, return_heatmaps=False):
        features = self.look(images).relu()
        heatmaps = self.heatmaps(features) if return_heatmaps else None
        return BackboneOutput(self.pose(features.mean(dim=(2, 3))), [features], heatmaps)

    def forward_stacks(self, images):
        pose, maps, heatmaps = self(images, return_heatmaps=True)
        boundaries = heatmaps.new_zeros(len(heatmaps), 0, *heatmaps.shape[2:])
        return [StackOutput(pose, soft_argmax(heatmaps), heatmaps.sigmoid(), boundaries, maps, heatmaps)]

    def pose_modules(self):
        return [self.pose]


register_backbone("one-conv", lambda config, layout: OneConv(len(layout), **config.backbone_options))


def test_model_with_it(tmp_path):
    model = SPIGA.from_preset("compact", backbone="one-conv", backbone_options={"width": 12}).eval()
    images = torch.rand(2, 3, 128, 128)
    out = model(images)
    assert out.feature_map.shape == (2, 12, 16, 16)
    out.landmarks.sum().backward()
    assert model.backbone.look.weight.grad.abs().sum() > 0

    model.save(tmp_path / "model.safetensors")
    again = SPIGA.from_pretrained(tmp_path / "model.safetensors")
    assert isinstance(again.backbone, OneConv)
    assert torch.equal(again(images).landmarks, out.landmarks)
