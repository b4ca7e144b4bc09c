"""Moving, cutting and changing a picture: its landmarks stay where they are seen."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform, Compose

from pyspiga_geo import FaceData, get_layout
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.data.transforms import (
    RandomAffine,
    RandomBlur,
    RandomColorJitter,
    RandomFlip,
    RandomLighting,
    RandomOcclusion,
    Resample,
    SquareCrop,
    reference_augmentation,
)
from pyspiga_geo.geometry import transform_points

SIZE = 64
PHOTO = 192
LAYOUT = get_layout("ibug68")

CHANGES: dict[str, Callable[[int], list]] = {
    "crop": lambda size: [Resample(size)],
    "flip": lambda size: [RandomFlip(size, LAYOUT, p=1), Resample(size)],
    "rotation": lambda size: [RandomAffine(size, 180, 0, 0), Resample(size)],
    "scale": lambda size: [RandomAffine(size, 0, 0.4, 0), Resample(size)],
    "shift": lambda size: [RandomAffine(size, 0, 0, 0.2), Resample(size)],
    "stretch": lambda size: [RandomAffine(size, 0, 0, 0, 0.5), Resample(size)],
    "all moves": lambda size: [
        RandomAffine(size),
        RandomFlip(size, LAYOUT),
        RandomAffine(size),
        Resample(size),
    ],
    "jitter": lambda size: [Resample(size), RandomColorJitter(grey=0.5)],
    "lighting": lambda size: [Resample(size), RandomLighting()],
    "blur": lambda size: [Resample(size), RandomBlur(p=1)],
    "occlusion": lambda size: [Resample(size), RandomOcclusion(size, (0.3, 0.9))],
    "reference": lambda size: reference_augmentation(LAYOUT, size).transforms[1:],
}


@pytest.fixture(scope="module")
def faces() -> list[FaceData]:
    return list(SyntheticFaces(LAYOUT, num_faces=16, size=PHOTO))


def with_dot(face: FaceData, row: int, width: float, colour: Tensor) -> Tensor:
    """The face's picture with a black spot at one landmark and in it a soft coloured dot."""
    steps = torch.arange(float(PHOTO))
    x, y = face.pos[row]
    squares = (steps - x) ** 2 + (steps[:, None] - y) ** 2
    return face.image * (squares > (7 * width) ** 2) + torch.exp(-squares / (2 * width**2)) * colour


def with_picture(change: Compose, face: FaceData, image: Tensor, seed: int) -> FaceData:
    """The face with another picture, changed as this seed draws it."""
    torch.manual_seed(seed)
    return change(FaceData(**{**face.to_dict(), "image": image}))


def around(values: Tensor, point: Tensor, reach: int) -> Tensor:
    """Part of values [S, S] within some pixels of a point that is as far from the edge."""
    x, y = (round(v) for v in point.tolist())
    return values[y - reach : y + reach + 1, x - reach : x + reach + 1]


def centre(values: Tensor) -> Tensor:
    """Centre (x, y) of what stands out of values [S, S]."""
    steps = torch.arange(len(values))
    weight = values * (values > 0.3 * values.max())
    return torch.stack([(weight * steps).sum(), (weight.mT * steps).sum()]) / weight.sum()


@pytest.mark.parametrize("name", CHANGES)
def test_dots_stay_at_their_landmarks(name: str, faces: list[FaceData]) -> None:
    found = hidden = 0
    for seed, face in enumerate(faces):
        size = 48 if seed % 2 else 160  # the photo is reduced, or enlarged
        change = Compose([SquareCrop(size), *CHANGES[name](size)])
        row = int(torch.randint(len(LAYOUT), ()))
        dot = 1.4 * 1.6 * float(face.bbox[2:].max()) / size  # a deviation of 1.4 pixels of the crop

        pictures = [
            with_dot(face, row, dot, torch.zeros(3, 1, 1)),
            with_dot(face, row, dot, 0.3 + 0.7 * torch.rand(3, 1, 1)),
            torch.ones(3, PHOTO, PHOTO),
            torch.zeros(3, PHOTO, PHOTO),
        ]
        plain, dotted, white, black = (with_picture(change, face, image, seed) for image in pictures)
        now = LAYOUT.flip[row] if plain.crop[:2, :2].det() < 0 else row
        point = size * plain.pos[now]
        if not ((point > 7) & (point < size - 8)).all():
            continue  # the dot is cut by the edge
        # Where a white photo looks no other than a black one, something stands before it.
        seen = (white.image - black.image).sum(dim=0)
        seen /= seen.max()
        difference = (dotted.image - plain.image).abs().sum(dim=0)
        if (around(seen, point, 6) > 0.99).all():
            assert (centre(difference) - point).norm() < 0.5
            assert plain.mask[now]
            assert plain.visible[now] == face.visible[row]
            found += 1
        elif (around(seen, point, 2) < 0.01).all():
            assert (around(difference, point, 2) == 0).all()
            assert plain.mask[now]
            assert plain.visible[now] == 0
            hidden += 1
    assert found >= (2 if name == "occlusion" else 8)
    assert hidden >= 3 if name == "occlusion" else hidden == 0 or name == "reference"


def box_centre(face: FaceData) -> Tensor:
    """Of the box, in crop pixels."""
    return transform_points((face.bbox[:2] + face.bbox[2:] / 2)[None], face.crop)[0]


@pytest.mark.parametrize(
    "change",
    [RandomFlip(SIZE, LAYOUT, p=1), RandomAffine(SIZE, degrees=180, scale=0.4, shift=0)],
    ids=["flip", "rotation and scale"],
)
def test_the_centre_of_the_box_stays_the_centre_of_the_crop(change: BaseTransform, faces: list[FaceData]) -> None:
    for face in faces[:4]:
        before = SquareCrop(SIZE)(face)
        torch.testing.assert_close(box_centre(before), torch.tensor([SIZE / 2, SIZE / 2]), rtol=0, atol=1e-4)
        torch.testing.assert_close(box_centre(change(before)), box_centre(before), rtol=0, atol=1e-4)


def with_own_fields(face: FaceData) -> FaceData:
    """A face with node, edge and graph fields of all kinds, without `mask`."""
    fields = face.to_dict()
    del fields["mask"]
    edges = torch.tensor([[36, 37, 0], [37, 38, 8]])  # between the lids of the right eye; from ear to chin
    return FaceData(
        **fields,
        initial=face.pos + 1,
        steps=torch.stack([face.pos + 2, face.pos + 3], dim=1),
        x=torch.arange(68.0)[:, None].expand(68, 5),
        names=[f"landmark {row}" for row in range(68)],
        weights=np.arange(68),
        edge_index=edges,
        edge_weight=torch.tensor([0.1, 0.2, 0.3]),
        chin_index=torch.tensor([8, 16]),
        label=3,
    )


def test_positions_of_all_kinds_follow_the_picture(faces: list[FaceData]) -> None:
    before = with_own_fields(faces[0])
    face = Compose([SquareCrop(SIZE), RandomFlip(SIZE, LAYOUT, p=1), RandomAffine(SIZE), Resample(SIZE)])(before)
    for key in ("pos", "initial", "steps"):
        expected = transform_points(before[key][list(LAYOUT.flip)], face.crop) / SIZE
        torch.testing.assert_close(face[key], expected)
    assert face.mask.equal(((face.pos >= 0) & (face.pos < 1)).all(dim=1))
    assert RandomOcclusion(SIZE)(FaceData(**{**face.to_dict(), "visible": None})).visible.min() == 0


def test_covariances_follow_their_landmarks(faces: list[FaceData]) -> None:
    """Points about each landmark scatter in the crop as its covariance says there."""
    before = faces[0].clone()
    around = torch.randn(68, 500, 2) @ torch.randn(68, 2, 2)
    before.covariance = torch.stack([torch.cov(each.T) for each in around])
    before.sigma = before.covariance.diagonal(dim1=1, dim2=2).mean(dim=1).sqrt()
    before.steps = before.pos[:, None] + around  # positions that follow the picture, too
    face = Compose([SquareCrop(SIZE), RandomFlip(SIZE, LAYOUT, p=1), RandomAffine(SIZE), Resample(SIZE)])(before)
    expected = torch.stack([torch.cov(each.T) for each in face.steps])
    torch.testing.assert_close(face.covariance, expected, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(face.sigma.square(), face.covariance.diagonal(dim1=1, dim2=2).mean(dim=1))


def test_crop_maps_the_photo_to_the_crop(numbered_face: Callable[[], FaceData]) -> None:
    before = numbered_face()
    face = Compose([SquareCrop(SIZE), RandomAffine(SIZE), Resample(SIZE)])(numbered_face())
    assert torch.allclose(transform_points(before.pos, face.crop), SIZE * face.pos, atol=1e-4)


def test_how_far_faces_are_moved() -> None:
    """Rotation, scale, shift and stretch fill their ranges and keep to them."""
    start = torch.eye(3)
    middle = torch.tensor([SIZE / 2, SIZE / 2, 1])  # what is turned about
    change, moves = RandomAffine(SIZE, degrees=45, scale=0.15, shift=0.05, stretch=0.2), []
    for _ in range(400):
        crop = change(FaceData(crop=start)).crop
        scale = float(crop[:2, :2].det().sqrt())
        angle = float(torch.atan2(crop[1, 0], crop[0, 0]).rad2deg())
        shift = ((crop @ middle - middle)[:2] / SIZE).tolist()
        assert abs(crop[:2, 0] @ crop[:2, 1]) < 1e-5  # along the axes of the box
        ratio = float(crop[:2, 0].norm() / crop[:2, 1].norm())
        moves.append([angle / 45, (scale - 1) / 0.15, shift[0] / 0.05, shift[1] / 0.05, (ratio - 1) / 0.2])
    low, high = torch.tensor(moves).aminmax(dim=0)
    assert ((low >= -1.001) & (low < -0.97)).all()
    assert ((high <= 1.001) & (high > 0.97)).all()


def test_landmarks_outside_of_the_crop_are_masked(numbered_face: Callable[[], FaceData]) -> None:
    face = numbered_face()
    face.pos[0] = torch.tensor([-500.0, 100])
    face.mask[1] = False
    out = Compose([SquareCrop(SIZE), Resample(SIZE)])(face)
    assert out.mask.tolist() == [False, False, *[True] * 66]


def test_the_same_seed_draws_the_same_change(numbered_face: Callable[[], FaceData]) -> None:
    change = reference_augmentation(LAYOUT, SIZE)
    torch.manual_seed(3)
    first = change(numbered_face())
    torch.manual_seed(3)
    second = change(numbered_face())
    other = change(numbered_face())
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.visible, second.visible)
    assert not torch.equal(first.image, other.image)


def test_what_comes_in_stays_as_it_was(numbered_face: Callable[[], FaceData]) -> None:
    face = numbered_face()
    reference_augmentation(LAYOUT, SIZE)(face)
    for key, value in numbered_face().to_dict().items():
        assert torch.equal(face[key], value)
    assert "crop" not in face
