import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo import FaceData
from pyspiga_geo.geometry import project
from pyspiga_geo.layouts import IBUG68, Layout
from pyspiga_geo.visualization import PALETTE, draw_overlay

GREY = (90, 90, 90)


def face(size, centre, **fields):
    shape = torch.tensor(IBUG68.shape3d[:, 1:] * (-1, 1))
    shape = size * (shape - shape.mean(dim=0)) / (shape.amax(dim=0) - shape.amin(dim=0)).max()
    return FaceData(pos=shape + torch.tensor(centre), **fields)


def rgb(colour):
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


@pytest.mark.parametrize("size", [15.0, 60.0, 400.0])
def test_lines_are_never_thinner_than_one_and_a_half_pixels(size):
    line = Layout("line", ids=(201, 202), contours={"line": (0, 1)})
    pair = FaceData(pos=torch.tensor([[20.0, 30.25], [20.0 + size, 30.25]]))
    drawn = np.asarray(draw_overlay(Image.new("RGB", (450, 60), "black"), [pair], line, numbers=False), dtype=float)
    column = drawn[:, round(20 + size * 0.5)] / np.array(rgb(PALETTE[0]))  # how much of each pixel is covered
    assert column.mean(axis=1).sum() >= 1.5
    middle = (column.mean(axis=1) * np.arange(60)).sum() / column.mean(axis=1).sum()
    assert middle == pytest.approx(30.25, abs=0.35)


def test_an_identity_keeps_its_colour_and_others_go_by_order():
    picture = Image.new("RGB", (400, 200), GREY)

    def colours(faces):
        drawn = np.asarray(draw_overlay(picture, faces, IBUG68, numbers=False))
        return {tuple(rgb(colour)) for colour in PALETTE if (drawn == np.array(rgb(colour))).all(axis=-1).sum() > 20}

    one, two = face(120.0, [100.0, 100]), face(120.0, [300.0, 100])
    assert colours([one, two]) == {tuple(rgb(PALETTE[0])), tuple(rgb(PALETTE[1]))}
    one.identity = 3
    assert colours([one]) == {tuple(rgb(PALETTE[2]))}
    one.identity = len(PALETTE) + 1
    assert colours([one]) == {tuple(rgb(PALETTE[0]))}
    assert len(set(PALETTE)) == len(PALETTE)


def test_the_picture_itself_stays_and_only_the_face_is_drawn_over():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    drawn = np.asarray(draw_overlay(picture, [face(80.0, [100.0, 100])], IBUG68))
    assert np.array_equal(np.asarray(picture), pixels)
    changed = (drawn != pixels).any(axis=-1)
    assert changed[50:150, 50:150].any()
    assert not changed[:, 170:].any()


@pytest.mark.parametrize("centre", [[0.0, 0], [299.0, 10], [150.0, 210], [-500.0, 50], [1e6, 1e6], [float("nan"), 0]])
def test_faces_at_the_border_and_outside_are_survived(centre):
    drawn = draw_overlay(Image.new("RGB", (300, 200), GREY), [face(80.0, centre)], IBUG68)
    assert drawn.size == (300, 200)


def test_one_landmark_without_contours_is_drawn():
    point = FaceData(pos=torch.tensor([[20.0, 10.0]]))
    drawn = np.asarray(
        draw_overlay(Image.new("RGB", (40, 20), GREY), [point], Layout("point", ids=(201,)), numbers=False)
    )
    assert (drawn[10, 20] != GREY).any()


def test_landmarks_of_which_the_model_is_not_sure_are_paler():
    picture = Image.new("RGB", (400, 200), GREY)
    sure, unsure = face(120.0, [100.0, 100]), face(120.0, [300.0, 100])
    sure.sigma, unsure.sigma = torch.full((68,), 0.5), torch.full((68,), 6.0)
    drawn = np.asarray(draw_overlay(picture, [sure, unsure], IBUG68, numbers=False)).astype(int)
    left, right = (np.abs(half - GREY).max() for half in (drawn[:, :200], drawn[:, 200:]))
    assert left > 150
    assert 20 < right < 100


def test_axes_of_the_head_stand_on_the_tip_of_the_nose():
    camera = torch.tensor([[300.0, 0, 100], [0, 300, 100], [0, 0, 1]])
    shape3d = torch.tensor(IBUG68.shape3d, dtype=torch.float32)
    pose = torch.tensor([0.0, 0, 0, 0, 0, 4])
    posed = FaceData(pos=project(shape3d, pose, camera), pose=pose, camera=camera)
    picture = Image.new("RGB", (200, 200), GREY)
    plain, with_axes = (
        np.asarray(draw_overlay(picture, [posed], IBUG68, numbers=False, pose=pose)).astype(int)
        for pose in (False, True)
    )
    x, y = posed.pos[30].round().long().tolist()
    changed = np.argwhere(np.abs(plain - with_axes).max(axis=2) > 30)
    # One axis goes to the right of the picture, the person's left, the other down.
    assert (changed >= (y - 4, x - 4)).all()
    assert changed.max(axis=0).min() > 20 + min(x, y)
    assert len(draw_overlay(picture, [FaceData(pos=posed.pos)], IBUG68, pose=True).getcolors(10**6)) > 1
