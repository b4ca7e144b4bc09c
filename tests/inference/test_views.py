"""Several views of a face, and the mean of what is found in them."""

import copy
from dataclasses import replace

import pytest
import torch
from skimage.data import astronaut

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.geometry import points_to_box, square_crop, transform_points
from pyspiga_geo.inference.boxes import FaceBoxes, as_boxes
from pyspiga_geo.inference.crops import Surroundings, _cut_again, cut_faces
from pyspiga_geo.inference.views import PLAIN, View, Views, _square_around
from pyspiga_geo.layouts import IBUG68
from pyspiga_geo.models import SPIGAOutput
from pyspiga_geo.models.checkpoint import PRETRAINED

FACE = [178.0, 91.0, 93.0, 83.0]
"""In the photo of the astronaut."""

BOX = [30.0, 20.0, 50.0, 60.0]
PHOTO = torch.rand(3, 120, 140, generator=torch.Generator().manual_seed(0))


class Dots(torch.nn.Module):
    """Finds the points of a photo in every crop, given the maps to the crops in the order in which it sees them."""

    def __init__(self, model: SPIGA, points: torch.Tensor, mirrored: list[bool]) -> None:
        super().__init__()
        self.layout, self.config, self.start = model.layout, model.config, model.start
        self.points, self.mirrored = points, mirrored
        self.maps: list[torch.Tensor] = []  # photo pixels to normalised crop coordinates
        self.calls = 0

    def forward(self, images: torch.Tensor, return_attention: bool = False) -> SPIGAOutput:
        size = images.size(-1)
        pos = transform_points(self.points, self.maps[(0, 1, 2, 2)[self.calls]])[None]
        if self.mirrored[self.calls]:
            pos = torch.stack([(size - 1) / size - pos[..., 0], pos[..., 1]], dim=-1)[:, list(self.layout.flip)]
        self.calls += 1
        covariance = torch.tensor([[4.0, 1], [1, 2]], dtype=pos.dtype).expand(1, 68, 2, 2) * self.calls
        return SPIGAOutput(pos, [pos - 0.1, pos], pos, None, images, None, None, covariance, pos[..., 0])


def run(views: Views, model: Dots) -> tuple[SPIGAOutput, torch.Tensor]:
    """What the views find of one face, and the map from photo pixels to its usual crop."""
    usual = square_crop(torch.tensor(BOX, dtype=torch.float64), 1, 1.6)
    model.maps = [square_crop(torch.tensor(BOX, dtype=torch.float64), 1, 1.6 * views.first.zoom)]

    def cut(to_crop: torch.Tensor) -> torch.Tensor:
        model.maps.append(to_crop[0] @ usual)
        return torch.zeros(1, 3, 64, 64)

    return views.run(model, torch.zeros(1, 3, 64, 64), cut), usual


@pytest.mark.parametrize("count", [1, 2, 4])
def test_all_views_are_brought_into_the_usual_crop(tiny_model, count):
    points = 30 + 40 * torch.rand(68, 2, dtype=torch.float64)
    model = Dots(tiny_model, points, [False, True, False, True])
    found, usual = run(Views.of(count, tiny_model.layout), model)
    assert model.calls == count
    torch.testing.assert_close(found.landmarks[0], transform_points(points, usual), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.initial[0], transform_points(points, usual), rtol=0, atol=1e-12)
    assert len(found.steps) == 2


@pytest.mark.parametrize("count", [2, 4])
def test_the_other_views_are_cut_where_the_first_found_the_landmarks(tiny_model, count):
    points = 30 + 40 * torch.rand(68, 2, dtype=torch.float64)
    model = Dots(tiny_model, points, [False, True, False, True])
    run(Views.of(count, tiny_model.layout), model)
    tight = points_to_box(points)
    for zoom, found in zip((1.06,) if count == 2 else (0.94, 1.06), model.maps[1:], strict=True):
        torch.testing.assert_close(found, square_crop(tight, 1, tiny_model.config.crop_scale * zoom))


@pytest.mark.parametrize(
    ("landmarks", "expected"),
    [
        ([[0.2, 0.3], [0.6, 0.5]], [0.2, 0.2, 0.4, 0.4]),
        ([[-0.3, 0.5], [0.7, 9.0]], [0.0, 0.4, 0.7, 0.7]),  # to the border: x from 0 to 0.7, y from 0.5 to 1
        ([[0.5, 0.5], [0.5, 0.5]], [0.35, 0.35, 0.3, 0.3]),
        ([[torch.nan, 0.5], [2.0, 2.0]], [0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_landmarks_that_cannot_be_do_not_make_impossible_crops(landmarks, expected):
    torch.testing.assert_close(_square_around(torch.tensor([landmarks]), 0.3), torch.tensor([expected]))


def test_covariances_are_mirrored_and_enlarged(tiny_model):
    points = torch.tensor([[30.0, 20], [80, 80]], dtype=torch.float64).repeat(34, 1)  # as wide as the box
    model = Dots(tiny_model, points, [False, True])
    found, _ = run(Views(View(2.0), (View(2.0, mirrored=True),)), model)
    # The first view says [[4, 1], [1, 2]], the second twice that with the other sign beside the diagonal.
    expected = 2**2 * torch.tensor([[(4 + 8) / 2, (1 - 2) / 2], [(1 - 2) / 2, (2 + 4) / 2]], dtype=torch.float64)
    torch.testing.assert_close(found.covariance[0], expected.expand(68, 2, 2))


@pytest.mark.parametrize("turn", [0.0, 30.0, 180.0])
@pytest.mark.parametrize("box", [BOX, [-40.0, 10, 100, 120], [2.0, 3, 8, 8], [900.0, 50, 20, 20]])
def test_what_is_kept_around_a_face_is_enough_for_any_view(box, turn):
    views, size, scale = Views.of(4, IBUG68), 256, 1.3
    boxes = FaceBoxes(*(torch.tensor(each, dtype=torch.float64) for each in ([box], [0.9], [turn])))
    crops = cut_faces(PHOTO, boxes, size, scale, views)
    whole = crops._replace(around=[Surroundings(PHOTO, (0, 0))])
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        low, high = torch.rand(2, 1, 1, 2, dtype=torch.float64, generator=rng).round(decimals=1).sort(dim=0).values
        square = _square_around(torch.cat([low, high], dim=1), 0.5 / scale)
        for zoom in (0.94, 1.06):
            to_crop = square_crop(square, 1, scale * zoom)
            found, expected = (_cut_again(each.around, each.matrix, size, to_crop) for each in (crops, whole))
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_a_box_that_is_off_matters_less_with_two_views():
    photo, box = astronaut(), torch.tensor([FACE])
    moved = box + torch.tensor([[6.0, -5, 4, 4]])
    apart = []
    for count in (1, 2):
        aligner = FaceAligner("compact", views=count)
        apart.append((aligner(photo, box)[0].pos - aligner(photo, moved)[0].pos).norm(dim=1).mean())
    assert apart[1] < 0.75 * apart[0]


@pytest.mark.parametrize("count", [2, 4])
def test_a_mirrored_photo_has_the_mirrored_landmarks(count):
    photo, (x, y, w, h) = astronaut(), FACE
    aligner = FaceAligner("compact", views=count)
    (face,) = aligner(photo, [FACE], attention=True)
    (other,) = aligner(photo[:, ::-1].copy(), [[511 - x - w, y, w, h]], attention=True)  # pixel x becomes 511 - x
    rows = list(IBUG68.flip)
    mirrored = torch.stack([511 - other.pos[rows, 0], other.pos[rows, 1]], dim=1)
    assert (mirrored - face.pos).norm(dim=1).mean() < 0.02 * w
    torch.testing.assert_close(face.attention.sum(dim=-1), torch.ones(face.attention.shape[:-1]))


def test_one_view_is_the_model_itself(tiny_model):
    crops = cut_faces(PHOTO, as_boxes([BOX], PHOTO, "xywh"), 64, 1.6)
    assert crops.images.shape == (1, 3, 64, 64)
    assert crops.around == []
    with torch.no_grad():
        expected = tiny_model(crops.images)
        found = PLAIN.run(tiny_model, crops.images, pytest.fail)
    assert torch.equal(found.landmarks, expected.landmarks)


def test_four_views_of_several_faces_are_each_of_its_own_face(tiny_model):
    aligner = FaceAligner(tiny_model, views=4)
    boxes = [BOX, [70.0, 60.0, 40.0, 40.0]]
    for face, box in zip(aligner(PHOTO, boxes), boxes, strict=True):
        assert torch.allclose(face.pos, aligner(PHOTO, [box])[0].pos, atol=1e-3)
    assert aligner(PHOTO, []) == []


@pytest.mark.parametrize(("most", "read"), [(1, 1), (10**9, 3)])
def test_large_photos_do_not_wait_for_a_full_batch(most, read, tiny_model, monkeypatch):
    monkeypatch.setattr("pyspiga_geo.inference.aligner._MOST_KEPT", most)
    photos = iter([PHOTO] * 3)
    stream = FaceAligner(tiny_model, views=2).stream(photos, iter([[BOX]] * 3), batch_size=3)
    next(stream)
    assert len(list(photos)) == 3 - read


def test_what_is_kept_of_a_photo_does_not_keep_the_photo():
    photo = torch.zeros(3, 2000, 3000)
    (kept,) = cut_faces(photo, as_boxes([BOX], photo, "xywh"), 64, 1.3, Views.of(2, IBUG68)).around
    assert kept.pixels.untyped_storage().nbytes() < 4 * 3 * 300**2


def test_shipped_models_have_several_views_unless_told_otherwise(weights, monkeypatch):
    for name in PRETRAINED:
        monkeypatch.setitem(PRETRAINED, name, weights)
    assert FaceAligner().views == FaceAligner("base").views == Views.of(2, IBUG68)
    assert FaceAligner("compact").views == Views.of(2, IBUG68)
    assert FaceAligner("compact", views=1).views == PLAIN
    assert FaceAligner(weights).views == PLAIN


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_views_are_on_average_as_large_as_what_covariances_are_calibrated_for(count):
    first, others = Views.of(count, IBUG68)
    assert sum(view.zoom for view in (first, *others)) / count == pytest.approx(1)


def test_what_cannot_be(tiny_model):
    with pytest.raises(ValueError, match="views must be one of 1, 2, 4, got 3"):
        FaceAligner(tiny_model, views=3)
    model = copy.copy(tiny_model)
    model.layout = replace(tiny_model.layout, name="own", flip=None)
    with pytest.raises(ValueError, match=r"views=2 needs mirror images.*'own' has no mirror order"):
        FaceAligner(model, views=2)
