import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from pyspiga_geo import FaceAligner, FaceData, Layout, get_layout
from pyspiga_geo.geometry import ellipse_radius
from pyspiga_geo.visualization import ContactSheet, face_sheet, save_demo, save_faces
from pyspiga_geo.visualization.faces import draw_initial_shape, draw_landmarks, draw_uncertainty


def aligned(model, attention: bool):
    photo = torch.full((3, 120, 200), 0.5)
    return photo, FaceAligner(model)(photo, [[60, 20, 70, 80]], attention=attention), model.layout


def test_the_picture_has_the_shape_of_the_photo_and_shows_the_face(tmp_path, tiny_model):
    photo, faces, layout = aligned(tiny_model, attention=False)
    save_faces(tmp_path / "a.png", photo, faces, layout)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    assert pixels.shape == (720, 1200, 3)
    drawn = np.abs(pixels - 128).max(axis=2) > 40
    rows, columns = np.nonzero(drawn)
    low, high = 6 * faces[0].pos.amin(dim=0), 6 * faces[0].pos.amax(dim=0)
    assert drawn[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])].mean() > 0.02
    assert columns.min() > low[0] - 150  # nothing far from the face
    assert rows.max() < high[1] + 150


@pytest.mark.parametrize(("longest", "size"), [(100, (100, 60)), (5000, (1200, 720))])
def test_pictures_may_be_smaller(tmp_path, tiny_model, longest, size):
    photo, faces, layout = aligned(tiny_model, attention=False)
    faces[0].sigma = torch.ones(68)
    save_faces(tmp_path / "a.png", photo, faces, layout, longest)
    assert Image.open(tmp_path / "a.png").size == size


def test_a_sheet_shows_each_face(tiny_model):
    photo, faces, layout = aligned(tiny_model, attention=False)
    picture = Image.fromarray((255 * photo).byte().permute(1, 2, 0).numpy())
    sheet = ContactSheet(layout, size=64)
    assert sheet.picture().size == (64, 64)
    for _ in range(5):
        sheet.add(picture, faces[0])
    pixels = np.asarray(sheet.picture())
    assert pixels.shape == (2 * 64, 3 * 64, 3)
    assert np.array_equal(pixels[:64, :64], pixels[64:, :64])
    assert pixels[64:, 128:].max() == 0


def test_the_demo_draws_two_panels(tmp_path, tiny_model):
    photo, faces, layout = aligned(tiny_model, attention=True)
    save_demo(tmp_path / "demo.png", photo, faces[0], layout)
    assert Image.open(tmp_path / "demo.png").width > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]


@pytest.mark.parametrize(
    ("layout", "single"),
    [(Layout("points", range(201, 206)), range(5)), (get_layout("wflw98"), (96, 97))],
    ids=["no contours", "wflw98"],
)
def test_landmarks_of_no_contour_are_drawn_as_points(layout, single):
    pos = torch.rand(len(layout), 2)
    face = FaceData(pos=100 * pos, initial=100 * pos)
    small = Figure(figsize=(0.5, 0.5)).subplots()
    draw_landmarks(small, face, layout)
    initial = Figure().subplots()
    draw_initial_shape(initial, face, layout)
    for ax in (small, initial):
        points = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == len(single)]
        assert any(np.allclose(xy, 100 * pos[list(single)].numpy(), rtol=1e-5) for xy in points)
    large = Figure().subplots()
    draw_landmarks(large, face, layout)
    sheet = face_sheet(torch.rand(1, 3, 32, 32), pos[None], pos[None], layout).axes[0]
    for ax, scale in ((large, 100), (sheet, 32)):
        shown = np.concatenate([line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"])
        drawn = np.unique((shown / scale).round(5), axis=0)
        np.testing.assert_allclose(drawn, np.unique(pos.double().numpy().round(5), axis=0), atol=1e-4)


def test_ellipses_lie_as_the_covariances_say():
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    covariance = torch.stack(
        [torch.diag(torch.tensor([4.0, 9.0])), turn @ torch.diag(torch.tensor([16.0, 1.0])) @ turn.T]
    )
    face = FaceData(
        pos=torch.tensor([[10.0, 20.0], [50.0, 60.0]]), covariance=covariance, visible=torch.tensor([1.0, 0.2])
    )
    ax = Figure().subplots()
    assert draw_uncertainty(ax, face, probability=0.5) is ax
    (ellipses,) = ax.collections
    assert ellipses.get_offsets().tolist() == face.pos.tolist()
    diameter = 2 * ellipse_radius(0.5)
    np.testing.assert_allclose(ellipses.get_widths(), [3 * diameter, 4 * diameter], rtol=1e-5)
    np.testing.assert_allclose(ellipses.get_heights(), [2 * diameter, diameter], rtol=1e-5)
    angles = ellipses.get_angles() % 180
    np.testing.assert_allclose(angles, [90, np.degrees(np.arctan2(0.6, 0.8))], rtol=1e-5)
    assert ellipses.get_edgecolors()[0].tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(ellipses.get_edgecolors()[1], [1, 0.2, 0.2, 1], rtol=1e-5)


def test_no_ellipses_without_covariances():
    with pytest.raises(ValueError, match="face must have covariance"):
        draw_uncertainty(Figure().subplots(), FaceData(pos=torch.rand(2, 2)))
