"""A smaller model from a larger one leaves out what has no influence, and nothing else."""

from pathlib import Path

import narrow_decoder
import pytest
import torch

from pyspiga_geo import SPIGA
from pyspiga_geo.models import read_about


@pytest.fixture
def model() -> SPIGA:
    options = {"channels": [12, 8], "heatmap_stride": 8}
    model = SPIGA.from_preset("compact", image_size=64, backbone="encoder_decoder", backbone_options=options).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return model.double()


def test_channels_without_influence_are_left_out(model: SPIGA) -> None:
    up = model.backbone.up4
    with torch.no_grad():
        for step in model.cascade.steps[1:]:
            step.visual.lin.weight.view(step.visual.lin.out_features, 8, -1)[:, [1, 4]] = 0
        up.block.first.conv.weight[:, [1, 4]] = 0
        up.block.second.weight[:, [0, 7]] = 0
        up.fine.weight[:, up.fine.in_channels - 8 + torch.tensor([2, 3])] = 0
    smaller = narrow_decoder.narrowed(model, 6, 64, model.config.crop_scale).double().eval()
    assert smaller.backbone.channels == [12, 6]
    images = torch.rand(2, 3, 64, 64, dtype=torch.double)
    with torch.no_grad():
        before, after = model(images), smaller(images)
    for one, other in zip([*before.steps, before.pose], [*after.steps, after.pose], strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_heads_in_tighter_crops_are_nearer(model: SPIGA) -> None:
    smaller = narrow_decoder.narrowed(model, 8, 96, model.config.crop_scale / 2).double()
    wide, near = model.backbone.pose.bias, smaller.backbone.pose.bias
    assert torch.equal(near[:5], wide[:5])
    assert near[5] == wide[5] / 2 != 0
    assert smaller.start.camera[0, 2] == 12  # the middle of its map
    assert smaller.config.image_size == 96


def test_the_file_says_where_it_comes_from(model: SPIGA, tmp_path: Path) -> None:
    large, small = tmp_path / "large.safetensors", tmp_path / "small.safetensors"
    model.float().save(large, about={"seed": 3})
    sizes = ["--image-size", "64", "--crop-scale", "1.3"]
    narrow_decoder.main([str(large), str(small), "--fine", "4", *sizes])
    assert read_about(small)["before"] == {"seed": 3}
    assert read_about(small)["fine"] == 4
    with pytest.raises(SystemExit):
        narrow_decoder.main([str(large), str(tmp_path / "none.safetensors"), "--fine", "9", *sizes])
    assert not (tmp_path / "none.safetensors").exists()
