"""Several views of a face, and the mean of what is found in them."""

import copy
from dataclasses import replace

import pytest
import torch

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.geometry import square_crop, transform_points
from pyspiga_geo.inference.boxes import as_boxes
from pyspiga_geo.inference.crops import cut_faces
from pyspiga_geo.inference.views import PLAIN, Views
from pyspiga_geo.layouts import IBUG68
from pyspiga_geo.models import SPIGAOutput
from pyspiga_geo.models.checkpoint import PRETRAINED

BOX = [30.0, 20.0, 50.0, 60.0]
PHOTO = torch.rand(3, 120, 140, generator=torch.Generator().manual_seed(0))


class Dots(torch.nn.Module):
    """Finds the points of a photo whose colours it knows, to a fraction of a pixel."""

    def __init__(self, model: SPIGA, views: Views, points: torch.Tensor) -> None:
        super().__init__()
        box = torch.tensor(BOX, dtype=torch.float64)
        self.layout, self.config, self.start = model.layout, model.config, model.start
        self.views = iter([(square_crop(box, 64, 1.6 * zoom), mirrored) for zoom, mirrored in views.each])
        self.points, self.calls = points, 0

    def forward(self, images: torch.Tensor, return_attention: bool = False) -> SPIGAOutput:
        size = images.size(-1)
        matrix, mirrored = next(self.views)
        pos = transform_points(self.points, matrix)[None] / size
        flip = torch.tensor(self.layout.flip)
        if mirrored:
            pos = torch.stack([(size - 1) / size - pos[..., 0], pos[..., 1]], dim=-1)[:, flip]
        self.calls += 1
        covariance = torch.tensor([[4.0, 1], [1, 2]], dtype=pos.dtype).expand(1, 68, 2, 2) * self.calls
        return SPIGAOutput(pos, [pos - 0.1, pos], pos, None, images, None, None, covariance, pos[..., 0])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_all_views_are_brought_into_the_middle_crop(tiny_model, count):
    views = Views.of(count, tiny_model.layout)
    points = 30 + 40 * torch.rand(68, 2, dtype=torch.float64)
    model = Dots(tiny_model, views, points)
    images = torch.zeros(1, len(views.zooms), 3, 64, 64)
    found = views.run(model, images)
    assert model.calls == count
    middle = transform_points(points, square_crop(torch.tensor(BOX, dtype=torch.float64), 64, 1.6)) / 64
    torch.testing.assert_close(found.landmarks[0], middle, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.initial[0], middle, rtol=0, atol=1e-12)
    assert len(found.steps) == 2


def test_covariances_are_mirrored_and_enlarged(tiny_model):
    views = Views(((2.0, False), (2.0, True)))
    found = views.run(Dots(tiny_model, views, torch.rand(68, 2).double()), torch.zeros(1, 1, 3, 64, 64))
    # The first view says [[4, 1], [1, 2]], its mirror image twice that with the other sign beside the diagonal.
    expected = 2**2 * torch.tensor([[(4 + 8) / 2, (1 - 2) / 2], [(1 - 2) / 2, (2 + 4) / 2]], dtype=torch.float64)
    torch.testing.assert_close(found.covariance[0], expected.expand(68, 2, 2))


def test_a_mirrored_photo_has_the_mirrored_landmarks(tiny_model):
    aligner = FaceAligner(tiny_model, views=4)
    (face,) = aligner(PHOTO, [BOX], attention=True)
    box = [139 - BOX[0] - BOX[2], *BOX[1:]]  # pixel x becomes 139 - x
    (other,) = aligner(PHOTO.flip(-1), [box], attention=True)
    flip = list(tiny_model.layout.flip)
    mirrored = torch.stack([139 - other.pos[flip, 0], other.pos[flip, 1]], dim=1)
    side = 1.6 * 60
    # The crop's middle is half a pixel of it beside that of its pixels.
    assert (mirrored - face.pos).abs().max() < 1.5 * side / 64
    single = (FaceAligner(tiny_model)(PHOTO, [BOX])[0].pos - face.pos).abs().max()
    assert 0 < single < side
    torch.testing.assert_close(face.attention.sum(dim=-1), torch.ones(face.attention.shape[:-1]))


def test_each_view_reads_the_crop_of_its_own_size(tiny_model):
    crops = torch.stack([torch.full((3, 64, 64), 0.3), torch.full((3, 64, 64), 0.7)])[None]
    seen: list[float] = []

    class Looks(torch.nn.Module):
        layout, config = tiny_model.layout, tiny_model.config

        def forward(self, images: torch.Tensor, return_attention: bool = False) -> SPIGAOutput:
            seen.append(round(images.mean().item(), 3))
            return tiny_model(images)

    with torch.no_grad():
        Views.of(2, tiny_model.layout).run(Looks(), crops)
    assert seen == [0.3, 0.7]


def test_one_view_is_the_model_itself(tiny_model):
    crops = cut_faces(PHOTO, as_boxes([BOX], PHOTO, "xywh"), 64, 1.6)
    assert crops.images.shape == (1, 1, 3, 64, 64)
    with torch.no_grad():
        expected = tiny_model(crops.images[:, 0])
        found = PLAIN.run(tiny_model, crops.images)
    assert torch.equal(found.landmarks, expected.landmarks)


def test_four_views_of_several_faces_are_each_of_its_own_face(tiny_model):
    aligner = FaceAligner(tiny_model, views=4)
    boxes = [BOX, [70.0, 60.0, 40.0, 40.0]]
    for face, box in zip(aligner(PHOTO, boxes), boxes, strict=True):
        assert torch.allclose(face.pos, aligner(PHOTO, [box])[0].pos, atol=1e-3)
    assert aligner(PHOTO, []) == []


def test_shipped_models_have_several_views_unless_told_otherwise(weights, monkeypatch):
    for name in PRETRAINED:
        monkeypatch.setitem(PRETRAINED, name, weights)
    assert FaceAligner().views == FaceAligner("base").views == Views.of(2, IBUG68)
    assert FaceAligner("compact").views == Views.of(2, IBUG68)
    assert FaceAligner("compact", views=1).views == PLAIN
    assert FaceAligner(weights).views == PLAIN


def test_what_cannot_be(tiny_model):
    with pytest.raises(ValueError, match="views must be one of 1, 2, 4, got 3"):
        FaceAligner(tiny_model, views=3)
    model = copy.copy(tiny_model)
    model.layout = replace(tiny_model.layout, name="own", flip=None)
    with pytest.raises(ValueError, match=r"views=2 needs mirror images.*'own' has no mirror order"):
        FaceAligner(model, views=2)
