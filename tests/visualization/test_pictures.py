import numpy as np
import torch
from PIL import Image

from pyspiga_geo import FaceAligner
from pyspiga_geo.visualization import save_demo, save_faces


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


def test_the_demo_draws_two_panels(tmp_path, tiny_model):
    photo, faces, layout = aligned(tiny_model, attention=True)
    save_demo(tmp_path / "demo.png", photo, faces[0], layout)
    assert Image.open(tmp_path / "demo.png").width > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]
