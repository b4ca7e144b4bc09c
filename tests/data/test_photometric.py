"""Occlusion, light, colour and sharpness, and the preset of them all."""

import colorsys
import pickle
import sys

import pytest
import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform, Compose

from pyspiga_geo import FaceData, get_layout
from pyspiga_geo.data.transforms import (
    Photometric,
    RandomBlur,
    RandomColorJitter,
    RandomLighting,
    RandomOcclusion,
    reference_augmentation,
)

SIZE = 80


def cropped_face(image: Tensor | None = None) -> FaceData:
    """A crop of 80 pixels whose box is 40 x 30 in the middle, with a landmark every five pixels of it."""
    steps = torch.cartesian_prod(torch.arange(20.3, 60, 5), torch.arange(25.3, 55, 5))
    return FaceData(
        image=torch.zeros(3, SIZE, SIZE) - 1 if image is None else image,
        pos=steps / SIZE,
        mask=torch.arange(len(steps)) % 3 > 0,
        visible=torch.ones(len(steps)),
        bbox=torch.tensor([110.0, 112.5, 20, 15]),
        crop=torch.tensor([[2.0, 0, -200], [0, 2, -200], [0, 0, 1]]),
    )


def test_occlusion_hides_what_it_says() -> None:
    shares, starts = [], []
    for _ in range(300):
        before, face = cropped_face(), RandomOcclusion(SIZE)(cropped_face())
        covered = (face.image != before.image).all(dim=0)
        rows, columns = (line.nonzero().flatten() for line in (covered.any(dim=1), covered.any(dim=0)))
        assert covered.sum() == len(rows) * len(columns)  # a rectangle, of one colour
        assert len(face.image[:, covered].unique(dim=1).T) == 1
        assert ((face.image >= 0) == covered).all()
        assert rows.min() >= 25
        assert rows.max() <= 55
        assert columns.min() >= 20
        assert columns.max() <= 60
        shares.append([len(columns) / 40, len(rows) / 30])
        starts.append([int(columns.min()), int(rows.min())])

        x, y = (SIZE * face.pos).floor().long().T  # 0.3 of a pixel further is another one's centre only if hidden
        inside = covered[y, x] & covered[y, x + 1] & covered[y + 1, x] & covered[y + 1, x + 1]
        outside = ~(covered[y, x] | covered[y, x + 1] | covered[y + 1, x] | covered[y + 1, x + 1])
        assert (face.visible[inside] == 0).all()
        assert (face.visible[outside] == 1).all()
        assert torch.equal(face.mask, before.mask)
        assert torch.equal(face.pos, before.pos)
    low, high = torch.tensor(shares).aminmax(dim=0)
    assert ((low > 0.05) & (low < 0.15)).all()  # to a pixel of 30
    assert ((high > 0.35) & (high < 0.45)).all()
    first, last = torch.tensor(starts).aminmax(dim=0)
    assert (first <= torch.tensor([23, 28])).all()
    assert (last >= torch.tensor([50, 45])).all()


def test_occlusion_stays_in_the_upright_box_of_a_turned_face() -> None:
    face = cropped_face()
    eighth = torch.tensor([[1.0, -1, 0], [1, 1, 0], [0, 0, 2**0.5]]) / 2**0.5
    centre = torch.tensor([[1.0, 0, 40], [0, 1, 40], [0, 0, 1]])
    face.crop = centre @ eighth @ torch.linalg.inv(centre) @ face.crop
    reach = (40 + 30) / 2 / 2**0.5
    shown = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    for _ in range(300):
        shown |= (RandomOcclusion(SIZE, (0.4, 0.4))(face).image >= 0).all(dim=0)
    for line in (shown.any(dim=0), shown.any(dim=1)):
        places = line.nonzero()
        assert 40 - reach <= places.min() <= 40 - reach + 2
        assert 40 + reach - 2 <= places.max() <= 40 + reach


def test_occlusion_as_often_as_asked_for() -> None:
    change = RandomOcclusion(SIZE, p=0.3)
    hidden = sum(bool((change(cropped_face()).image >= 0).any()) for _ in range(400))
    assert 85 < hidden < 155


@pytest.mark.parametrize("size", [(0.4, 0.1), (-0.1, 0.4), (0.1, 1.5)])
def test_occlusion_of_a_wrong_size(size: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 <= smallest <= largest <= 1, got"):
        RandomOcclusion(SIZE, size)


def test_occlusion_before_resampling() -> None:
    with pytest.raises(ValueError, match=r"goes after Resample\(64\): the picture has 80 x 80 pixels"):
        RandomOcclusion(64)(cropped_face())


@pytest.mark.parametrize(
    "change",
    [RandomColorJitter(grey=0.5), RandomLighting(), RandomBlur(p=1), Photometric(torch.nn.Identity())],
)
def test_light_and_blur_change_the_picture_alone(change: BaseTransform) -> None:
    image = torch.rand(3, SIZE, SIZE)
    before, same = cropped_face(image), []
    for _ in range(10):  # a random change may change nothing
        face = change(cropped_face(image))
        assert face.image.shape == image.shape
        assert 0 <= face.image.min() < face.image.max() <= 1
        same.append(torch.equal(face.image, image))
        for key in ("pos", "mask", "visible", "bbox", "crop"):
            assert torch.equal(face[key], before[key])
    assert all(same) == isinstance(change.module, torch.nn.Identity)


def hsv(image: Tensor) -> Tensor:
    """[3, N] of an image [3, H, W], by the standard library."""
    pixels = image.double().flatten(1).T.tolist()
    return torch.tensor([colorsys.rgb_to_hsv(*pixel) for pixel in pixels], dtype=torch.float64).T


def test_lighting_scales_hue_saturation_and_value() -> None:
    image = 0.2 + 0.4 * torch.rand(3, 8, 8, dtype=torch.float64)
    image[:, 0, 0] = 0.3  # grey stays grey
    before, factors = hsv(image), []
    for _ in range(200):
        after = hsv(RandomLighting(0.5)(cropped_face(image)).image)
        h, s, v = (after[:, 1:] / before[:, 1:]).median(dim=1).values
        expected = (before * torch.stack([h, s, v])[:, None]).clamp(max=1)
        turn = (after[0] - expected[0] + 0.5) % 1 - 0.5  # red is both 0 and 1
        assert turn[1:].abs().max() < 1e-5
        assert (after - expected)[1:].abs().max() < 1e-5
        assert after[1, 0] < 1e-6
        factors.append(torch.stack([h, s, v]))
    low, high = torch.stack(factors).aminmax(dim=0)
    assert ((low >= 0.5) & (low < 0.55)).all()
    assert ((high <= 1.5) & (high > 1.45)).all()


def test_lighting_of_a_batch_is_drawn_for_each_image() -> None:
    images = torch.full((4, 3, 2, 2), 0.5)
    levels = RandomLighting().module(images)[:, 0, 0, 0]
    assert len(levels.unique()) == 4


def test_blur_widens_a_dot_by_its_sigma() -> None:
    image = torch.zeros(3, 21, 21)
    image[:, 10, 10] = 1
    assert torch.equal(RandomBlur(p=0)(cropped_face(image)).image, image)
    steps = torch.arange(21) - 10
    for sigma in (0.7, 0.9):  # neither too narrow for whole pixels nor too wide for five of them
        line = RandomBlur((sigma, sigma), p=1)(cropped_face(image)).image[0].sum(dim=0)
        assert line.sum() == pytest.approx(1, abs=1e-5)
        assert (line * steps**2).sum() == pytest.approx(sigma**2, rel=0.06)


def test_blur_as_often_as_asked_for() -> None:
    image = torch.rand(3, 9, 9)
    change = RandomBlur(p=0.5)
    blurred = sum(not torch.equal(change(cropped_face(image)).image, image) for _ in range(200))
    assert 75 < blurred < 125


def test_the_preset_travels_to_other_processes() -> None:
    change: Compose = pickle.loads(pickle.dumps(reference_augmentation(get_layout("ibug68"), 64)))
    assert len(change.transforms) == 7


def test_only_light_and_blur_need_kornia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)  # as if it were not installed
    RandomOcclusion(64)
    for change in (RandomBlur, RandomColorJitter, RandomLighting):
        with pytest.raises(ImportError, match=r"need kornia: pip install 'pyspiga-geo\[train\]'"):
            change()
