"""What the drawings look like: small pictures of a synthetic face, compared with stored ones.

After a change that is meant, write them anew with `PYSPIGA_UPDATE_PICTURES=1 pytest tests/visualization`, and look at
them.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pyspiga_geo import FaceData
from pyspiga_geo.layouts import IBUG68
from pyspiga_geo.visualization import (
    FOUND,
    TRUTH,
    animate_cascade,
    draw_attention,
    draw_attention_matrix,
    draw_cascade,
    draw_heatmaps,
    draw_initial_shape,
    draw_landmarks,
    draw_pose,
    draw_uncertainty,
    draw_windows,
    show_photo,
)

EXPECTED = Path(__file__).parent / "expected"
SIZE = 160
GREY = torch.full((3, 120, 120), 0.35)


def compare(ax, face):
    draw_landmarks(ax, face, IBUG68, color=TRUTH)
    draw_landmarks(ax, FaceData(pos=face.initial), IBUG68, color=FOUND, marker="x")


def heatmaps(ax, face):
    at = torch.arange(30) * 4.0
    x, y = face.pos[..., 0, None, None], face.pos[..., 1, None, None]
    draw_heatmaps(ax, -((at - x) ** 2 + (at[:, None] - y) ** 2) / 40, landmarks=[8, 30, 36])


DRAWINGS = {
    "landmarks": lambda ax, face: draw_landmarks(ax, face, IBUG68),
    "compared": compare,
    "initial": lambda ax, face: draw_initial_shape(ax, face, IBUG68),
    "pose": lambda ax, face: draw_pose(ax, face, IBUG68),
    "uncertainty": lambda ax, face: draw_uncertainty(ax, face),
    "cascade": lambda ax, face: draw_cascade(ax, face, IBUG68),
    "windows": lambda ax, face: draw_windows(ax, face, [8, 30, 36]),
    "heatmaps": heatmaps,
    "attention": lambda ax, face: draw_attention(ax, face, step=0, layer=1, head=2, strongest=40),
    "listener": lambda ax, face: draw_attention(ax, face, listener=30, strongest=12),
    "matrix": lambda ax, face: draw_attention_matrix(ax, face, step=1, layer=0),
}


def check(name: str, pixels: np.ndarray) -> None:
    path = EXPECTED / f"{name}.png"
    if os.environ.get("PYSPIGA_UPDATE_PICTURES"):
        EXPECTED.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, optimize=True)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert pixels.shape == expected.shape
    off = np.abs(pixels - expected).max(axis=2)
    assert off.mean() < 3, name  # other versions may smooth their lines otherwise
    assert (off > 80).mean() < 0.01, name


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_look_as_they_did(name, walked):
    figure = Figure(figsize=(SIZE / 80, SIZE / 80), dpi=80)
    ax = figure.add_axes((0, 0, 1, 1))
    if name != "matrix":
        show_photo(ax, GREY)
    DRAWINGS[name](ax, walked)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    check(name, np.asarray(canvas.buffer_rgba())[..., :3])


def test_the_animation_walks_from_the_initial_shape_to_the_last_step(walked, tmp_path):
    animate_cascade(tmp_path / "a.gif", GREY, walked, IBUG68, size=SIZE, frames=3)
    film = Image.open(tmp_path / "a.gif")
    assert (film.n_frames, film.info["loop"]) == (10, 0)
    for name, frame in (("animation_first", 0), ("animation_last", 9)):
        film.seek(frame)
        check(name, np.asarray(film.convert("RGB")))
