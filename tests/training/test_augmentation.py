import warnings
from dataclasses import replace

import kornia.augmentation as K
import pytest
import torch
from torch import nn
from torch_geometric.transforms import Compose

from pyspiga_geo import FaceData, get_layout
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, RandomOcclusion, Resample, SquareCrop
from pyspiga_geo.training.augmentation import photometric, random_crop
from pyspiga_geo.training.config import AugmentationConfig

LAYOUT = get_layout("ibug68")


@pytest.fixture(scope="module")
def photo() -> FaceData:
    return SyntheticFaces(LAYOUT)[0]


@pytest.mark.parametrize("changed", [{}, {"hue": 0, "degrees": 30}, {"blur": 0, "occlusion": 0}])
def test_trained_recipes_keep_their_draws(changed: dict[str, float]) -> None:
    """What the shipped weights were trained with: the same seed must draw the same pictures ever after."""
    config = AugmentationConfig(**changed)
    recipe = nn.Sequential(
        K.ColorJitter(0.3, 0.3, 0.3, config.hue, p=0.9),
        K.RandomGrayscale(p=0.15),
        K.RandomGaussianBlur((5, 5), (0.5, 1.5), p=config.blur, separable=False),
        K.RandomErasing((0.02, 0.15), p=config.occlusion),
    )
    images = torch.rand(24, 3, 32, 32)
    for seed in range(5):
        torch.manual_seed(seed)
        expected = recipe(images)
        torch.manual_seed(seed)
        assert torch.equal(photometric(config)(images), expected)


def test_trained_recipes_keep_their_crops(photo: FaceData) -> None:
    config = AugmentationConfig()
    recipe = Compose([SquareCrop(64, 1.4), RandomFlip(64, LAYOUT, 0.5), RandomAffine(64, 35, 0.15, 0.06), Resample(64)])
    for seed in range(5):
        torch.manual_seed(seed)
        expected = recipe(photo)
        torch.manual_seed(seed)
        face = random_crop(config, LAYOUT, 64, 1.4)(photo)
        for key in ("image", "pos", "mask", "visible", "crop"):
            assert torch.equal(face[key], expected[key])


def test_a_face_is_hidden_once() -> None:
    """By the loader where the size is told in boxes, else on the batch."""
    whole = AugmentationConfig(occlusion=1)
    boxes = AugmentationConfig(occlusion=1, occlusion_size=(0.2, 0.3))
    assert isinstance(photometric(whole)[-1], K.RandomErasing)
    assert not any(isinstance(module, K.RandomErasing) for module in photometric(boxes))
    assert not any(isinstance(t, RandomOcclusion) for t in random_crop(whole, LAYOUT, 64, 1.6).transforms)
    occlusion = random_crop(boxes, LAYOUT, 64, 1.6).transforms[-1]
    assert isinstance(occlusion, RandomOcclusion)
    assert (occlusion.resolution, occlusion.size, occlusion.p) == (64, (0.2, 0.3), 1)


def test_nothing_asked_for_changes_nothing(photo: FaceData) -> None:
    still = AugmentationConfig(flip=0, degrees=0, scale=0, shift=0, brightness=0, hue=0, grey=0, blur=0, occlusion=0)
    assert len(photometric(still)) == 0
    plain = Compose([SquareCrop(64, 1.6), Resample(64)])(photo)
    face = random_crop(still, LAYOUT, 64, 1.6)(photo)
    torch.testing.assert_close(face.image, plain.image)
    torch.testing.assert_close(face.pos, plain.pos)


def test_without_a_mirror_order_nothing_is_mirrored(photo: FaceData) -> None:
    without = replace(LAYOUT, flip=None)
    with pytest.warns(UserWarning, match="layout 'ibug68' has no mirror order"):
        changes = random_crop(AugmentationConfig(flip=1, scale=0, shift=0, degrees=0), without, 64, 1.4)
    plain = Compose([SquareCrop(64, 1.4), Resample(64)])(photo)
    assert torch.equal(changes(photo).pos, plain.pos)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        random_crop(AugmentationConfig(flip=0), without, 64, 1.4)  # which asks for none
