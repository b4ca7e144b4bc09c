"""Faces that are not upright: found, cut out upright, and mapped back."""

import pytest
import torch
from skimage.data import astronaut

from pyspiga_geo import FaceAligner
from pyspiga_geo.geometry import pose_from_points
from pyspiga_geo.inference import FaceBoxes, find_faces
from pyspiga_geo.inference.any_angle import find_at_any_angle

PHOTO = torch.from_numpy(astronaut()).permute(2, 0, 1)[:, :300, 60:400] / 255


def turned_back(points: torch.Tensor, quarters: int, image: torch.Tensor) -> torch.Tensor:
    """Points of a photo after rot90 by quarter turns, in pixels of the photo before."""
    height, width = image.shape[1:]
    x, y = points.unbind(-1)
    return torch.stack([(x, y), (width - 1 - y, x), (width - 1 - x, height - 1 - y), (y, height - 1 - x)][quarters], -1)


@pytest.fixture(scope="module")
def aligner() -> FaceAligner:
    return FaceAligner(views=1)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_photo_has_the_same_landmarks(aligner, quarters):
    (upright,) = aligner(PHOTO)
    view = PHOTO.rot90(quarters, (1, 2))
    (face,) = aligner(view, upright=False)
    gap = (turned_back(face.pos, quarters, PHOTO) - upright.pos).norm(dim=1)
    assert gap.mean() < 1.5  # the face is 90 pixels wide, and its box is not quite the same
    # rot90 turns anticlockwise, in which roll falls.
    roll = (face.pose[2] + 90 * quarters - upright.pose[2] + 180).remainder(360) - 180
    assert abs(roll) < 3
    # Yaw and pitch say where in the picture the face looks: to the right before, upwards after a quarter turn.
    yaw, pitch = upright.pose[:2].tolist()
    expected = torch.tensor([(yaw, pitch), (-pitch, yaw), (-yaw, -pitch), (pitch, -yaw)][quarters])
    assert (face.pose[:2] - expected).abs().max() < 3
    rows = aligner.layout.pose_rows
    shape3d = torch.tensor(aligner.layout.shape3d, dtype=torch.float64)[rows]
    fitted = pose_from_points(face.pos[rows].double(), shape3d, face.camera.double())
    torch.testing.assert_close(face.pose.double(), fitted, atol=0.2, rtol=0)  # the turn of the crop is in the pose


def test_an_upright_photo_has_no_further_faces(aligner):
    (face,) = aligner(PHOTO, upright=False)
    (expected,) = aligner(PHOTO)
    assert (face.pos - expected.pos).norm(dim=1).mean() < 1.5
    assert face.crop[0, 1] == 0  # not turned


def test_a_tilt_of_forty_five_degrees(aligner):
    centre = torch.tensor([170.0, 150])
    cos = 0.5**0.5
    grid_y, grid_x = torch.meshgrid(torch.arange(300.0), torch.arange(340.0), indexing="ij")
    x, y = grid_x - centre[0], grid_y - centre[1]
    source = torch.stack([cos * x + cos * y + centre[0], -cos * x + cos * y + centre[1]], dim=-1)  # clockwise
    unit = (2 * source + 1) / torch.tensor([340.0, 300]) - 1
    view = torch.nn.functional.grid_sample(PHOTO[None], unit[None], align_corners=False)[0]
    (upright,) = aligner(PHOTO)
    (face,) = aligner(view, upright=False)
    rows, columns = face.pos.round().long().T.flip(0)
    gap = (source[rows, columns] - upright.pos).norm(dim=1)
    assert gap.mean() < 2
    assert abs(face.pose[2] - upright.pose[2] - 45) < 4


def test_a_detector_of_ones_own_is_asked_in_four_turns():
    """It finds one bright square, and only where that is at the top."""
    image = torch.zeros(3, 200, 300)
    image[:, 80:120, 240:280] = 1  # at the right: at the top after a quarter turn anticlockwise

    def detector(view):
        rows, columns = (view[0] > 0.5).nonzero().unbind(1)
        if not len(rows) or rows.float().mean() > 0.4 * view.size(1):
            return torch.zeros(0, 4)
        x, y = columns.min(), rows.min()
        return torch.stack([x, y, columns.max() - x + 1, rows.max() - y + 1])[None]

    def looks(view):  # the crop that confirms has it in the middle
        return detector(view) if view.shape[1] != view.shape[2] else torch.tensor([[67.0, 67, 90, 90]])

    found = find_at_any_angle(looks, image)
    assert found.turn.tolist() == [90]
    centre = found.box[0, :2] + found.box[0, 2:] / 2
    assert torch.allclose(centre, torch.tensor([260.0, 100]), atol=1.5)
    assert torch.allclose(found.box[0, 2:], torch.full((2,), 40.0), atol=1.5)


def test_boxes_may_say_how_faces_are_turned(tiny_model):
    photo, box = torch.rand(3, 120, 120), torch.tensor([[30.0, 20, 50, 60]])
    known = FaceBoxes(box, torch.tensor([0.5]), torch.tensor([90.0]))
    (face,) = FaceAligner(tiny_model)(photo, known)
    # Turned back by a quarter about pixel (119 / 2, 119 / 2), the box centre (55, 50) comes to (50, 64).
    (upright,) = FaceAligner(tiny_model)(photo.rot90(1, (1, 2)), torch.tensor([[25.0, 34, 50, 60]]))
    assert face.score == 0.5
    torch.testing.assert_close(
        face.pos, torch.stack([119 - upright.pos[:, 1], upright.pos[:, 0]], 1), atol=1e-2, rtol=0
    )
    with pytest.raises(ValueError, match=r"FaceBoxes must be \[N, 4\], \[N\] and \[N\]"):
        FaceAligner(tiny_model)(photo, known._replace(score=torch.zeros(2)))


def test_scores_reach_the_faces(aligner):
    (face,) = aligner(PHOTO)
    assert torch.equal(face.score, find_faces(PHOTO).score[0])
    assert "score" not in aligner(PHOTO, [[100, 80, 90, 90]])[0]


def test_a_face_that_scores_high_in_one_crop_only_is_upright():
    """The detector is as sure of the bright square upside down as upright, but upside down only in the narrow crop."""
    image = torch.zeros(3, 200, 200)
    image[:, 40:100, 60:120] = 1
    image[0, 40:60, 60:120] = 0.7  # the top of the face is not red

    def detector(view):
        rows, columns = (view[1] > 0.5).nonzero().unbind(1)
        if not len(rows):
            return torch.zeros(0, 5)
        x, y, w, h = columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1
        face = view[0, y : y + h, x : x + w]
        top, bottom = face[: h // 4].mean(), face[-h // 4 :].mean()
        upright, wrong = top < bottom - 0.1, top > bottom + 0.1
        crop = view.size(1) != image.size(1)
        score = 0.9 if upright else 0.95 if wrong and (not crop or w > view.size(1) * 0.4) else 0.3
        return torch.tensor([[x, y, w, h, score]])

    found = find_at_any_angle(detector, image)
    assert found.turn.tolist() == [0]
    torch.testing.assert_close(found.score, torch.tensor([0.9]))
