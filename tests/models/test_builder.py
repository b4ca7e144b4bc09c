from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import BackboneOutput, StackOutput, register_backbone
from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.models import SPIGA, MeanShape, SPIGAConfig, make_config
from pyspiga_geo.nn import SPIGACascade

TinyModel = Callable[..., SPIGA]


class TwoMaps(nn.Module):
    """A coarse and a fine map, no pose."""

    channels = (4, 6)
    strides = (8, 4)
    image_size = 32

    def __init__(self) -> None:
        super().__init__()
        self.coarse, self.fine = nn.Conv2d(3, 4, 8, 8), nn.Conv2d(3, 6, 4, 4)

    def forward(self, images: Tensor, return_heatmaps: bool = False) -> BackboneOutput:
        return BackboneOutput(None, [self.coarse(images), self.fine(images)], None)

    def forward_stacks(self, images: Tensor) -> list[StackOutput]:
        raise NotImplementedError


def composed(num_steps: int = 3) -> SPIGA:
    cascade = SPIGACascade(68, [4, 6, 6][:num_steps], num_steps, 1, 2, node_channels=8, hidden_channels=32)
    return SPIGA(TwoMaps(), MeanShape(torch.rand(68, 2)), cascade, "ibug68").eval()


def test_parts_are_put_together_by_hand() -> None:
    model = composed()
    out = model(torch.rand(2, 3, 32, 32))
    assert out.pose is None
    assert out.landmarks.shape == out.initial.shape == (2, 68, 2)
    assert out.x.shape == (2, 68, 32)
    (face, _) = out.to_data_list()
    assert "pose" not in face


def test_later_steps_look_at_finer_maps() -> None:
    model, images = composed(), torch.rand(1, 3, 32, 32)
    before = model(images).steps
    with torch.no_grad():
        model.backbone.fine.weight.mul_(-1)
    after = model(images).steps
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_a_model_made_by_hand_cannot_be_saved(tmp_path: object) -> None:
    with pytest.raises(ValueError, match="register_backbone"):
        composed().save(f"{tmp_path}/model.safetensors")


def test_cascade_of_another_number_of_landmarks() -> None:
    with pytest.raises(ValueError, match="68 landmarks"):
        SPIGA(TwoMaps(), MeanShape(torch.rand(98, 2)), SPIGACascade(68, 4), "wflw98")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"channel_order": "BGR"}, "channel_order"),
        ({"start": "posd"}, "start"),
        ({"image_size": 0}, "image_size"),
        ({"crop_scale": float("nan")}, "crop_scale"),
        ({"focal_ratio": -1.5}, "focal_ratio"),
        ({"backbone": "unet"}, "unknown backbone 'unet'; known: hourglass"),
        ({"num_steps": -1}, "num_steps"),
        ({"window": -0.25}, "window"),
        ({"samples": 0}, "samples"),
        ({"heads": 0}, "heads"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_settings_out_of_range(override: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SPIGA.from_preset("compact", **override)


def test_a_name_stands_for_one_backbone() -> None:
    def factory(config: SPIGAConfig, layout: object) -> nn.Module:
        return TwoMaps()

    register_backbone("two-maps-of-a-test", factory)
    register_backbone("two-maps-of-a-test", factory)
    with pytest.raises(ValueError, match="exists already"):
        register_backbone("two-maps-of-a-test", lambda config, layout: TwoMaps())


def test_settings_reach_the_cascade(tiny_model: TinyModel) -> None:
    model = tiny_model(position="learned", norm="layer_norm", share_steps=True, window=[0.5, 0.1])
    assert model.cascade.windows == [0.5, 0.1]
    assert len(model.cascade.steps) == 1
    assert "steps.0.relative.vectors" in model.cascade.state_dict()


def test_new_settings_travel_with_the_weights(tiny_model: TinyModel, tmp_path: object) -> None:
    model = tiny_model(position="none", window=(0.5, 0.1), norm="layer_norm")
    model.save(f"{tmp_path}/model.safetensors")
    again = SPIGA.from_pretrained(f"{tmp_path}/model.safetensors")
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(again(images).landmarks, model(images).landmarks)


def test_files_from_before_the_new_settings_are_read() -> None:
    assert make_config("paper") == SPIGAConfig()
    assert get_layout("ibug68") is SPIGA.from_preset("compact").layout


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(tiny_model: TinyModel, dtype: torch.dtype) -> None:
    model, images = tiny_model(preset="compact"), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        single = model(images)
        other = model.to(dtype)(images)
    assert other.landmarks.dtype == other.initial.dtype == torch.promote_types(dtype, torch.float32)
    assert (single.landmarks - other.landmarks).abs().max() < 0.02


def test_autocast_keeps_positions_in_single_precision(tiny_model: TinyModel) -> None:
    model, images = tiny_model(preset="compact"), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        single = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(images)
    assert half.landmarks.dtype == half.initial.dtype == half.pose.dtype == torch.float32
    assert (single.landmarks - half.landmarks).abs().max() < 0.02


def test_a_layout_without_a_rigid_shape_starts_from_its_mean() -> None:
    mean = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.3]])
    layout = Layout("masks-of-a-test", (201, 202, 203), mean_shape=mean)
    with pytest.raises(ValueError, match="start='mean'"):
        SPIGA.from_preset("compact", layout)
    model = SPIGA.from_preset("compact", layout, start="mean", crop_scale=2.0)
    assert torch.allclose(model.start(None)[0], torch.tensor(0.5 + mean / 2).float())
    face = SPIGA.from_preset("compact", start="mean").start(None)[0]  # ibug68: the rigid shape from the front
    right_eye, left_eye, chin = face[36], face[45], face[8]
    assert right_eye[0] < left_eye[0]
    assert left_eye[1] < chin[1]
    with pytest.raises(ValueError, match="mean shape"):
        SPIGA.from_preset("compact", Layout("bare", (201, 202, 203)), start="mean")
