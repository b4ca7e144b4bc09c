import pytest
import torch
from torch_geometric.transforms import Compose

from pyspiga_geo import FaceData, get_layout
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, Resample, SquareCrop
from pyspiga_geo.geometry import transform_points

SIZE = 64


def dotted_face() -> FaceData:
    """A black picture with a soft white dot at each of a few landmarks of ibug68, the others at the centre."""
    layout = get_layout("ibug68")
    pos = torch.full((len(layout), 2), 100.0)
    dots = torch.tensor([[60.0, 70], [140, 75], [100, 110], [75, 140], [128, 138]])
    rows = [36, 45, 30, 48, 54]
    pos[rows] = dots
    x = torch.arange(200.0)
    image = torch.zeros(3, 200, 200)
    for channel_x, channel_y in dots:
        image += torch.exp(-((x[None] - channel_x) ** 2 + (x[:, None] - channel_y) ** 2) / (2 * 3.0**2))
    return FaceData(
        image=image,
        pos=pos,
        mask=torch.ones(len(layout), dtype=torch.bool),
        visible=torch.arange(68.0),
        bbox=torch.tensor([50.0, 50, 100, 100]),
    )


def brightest_near(image: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """Centre of brightness within 3 pixels of a point."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).float()
    near = (pixels - point).abs().amax(dim=-1) <= 3
    weight = image[0] * near
    return (pixels * weight[..., None]).sum(dim=(0, 1)) / weight.sum()


@pytest.mark.parametrize("seed", range(12))
def test_dots_stay_at_their_landmarks(seed):
    torch.manual_seed(seed)
    layout = get_layout("ibug68")
    face = Compose(
        [SquareCrop(SIZE), RandomFlip(SIZE, layout), RandomAffine(SIZE, 45, 0.15, 0.05), Resample(SIZE)]
    )(dotted_face())
    for row in (30, 36, 45, 48, 54):
        point = SIZE * face.pos[row]
        if (point > 4).all() and (point < SIZE - 5).all():
            assert (brightest_near(face.image, point) - point).norm() < 0.5


def test_flip_exchanges_left_and_right():
    layout = get_layout("ibug68")
    plain = Compose([SquareCrop(SIZE), Resample(SIZE)])(dotted_face())
    flipped = Compose([SquareCrop(SIZE), RandomFlip(SIZE, layout, p=1), Resample(SIZE)])(dotted_face())
    assert torch.allclose(flipped.image, plain.image.flip(2), atol=1e-5)
    mirrored = plain.pos[list(layout.flip)] * torch.tensor([-1.0, 1]) + torch.tensor([(SIZE - 1) / SIZE, 0])
    assert torch.allclose(flipped.pos, mirrored, atol=1e-6)
    assert flipped.visible.tolist() == list(layout.flip)


def test_crop_maps_the_photo_to_the_crop():
    before = dotted_face()
    face = Compose([SquareCrop(SIZE), RandomAffine(SIZE), Resample(SIZE)])(dotted_face())
    assert torch.allclose(transform_points(before.pos, face.crop), SIZE * face.pos, atol=1e-4)


def test_landmarks_outside_of_the_crop_are_masked():
    face = dotted_face()
    face.pos[0] = torch.tensor([-500.0, 100])
    face.mask[1] = False
    out = Compose([SquareCrop(SIZE), Resample(SIZE)])(face)
    assert out.mask.tolist() == [False, False, *[True] * 66]


def test_the_same_seed_draws_the_same_change():
    layout = get_layout("ibug68")
    change = Compose([SquareCrop(SIZE), RandomFlip(SIZE, layout), RandomAffine(SIZE), Resample(SIZE)])
    torch.manual_seed(3)
    first = change(dotted_face())
    torch.manual_seed(3)
    second = change(dotted_face())
    other = change(dotted_face())
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, other.image)
