"""What the drawings share."""

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.visualization.canvas import cut_out


def test_what_is_cut_out_of_a_photo_lies_where_its_landmarks_do() -> None:
    pixels = np.zeros((40, 40), dtype=np.uint8)
    pixels[22, 19] = 255
    corners = np.array([[10.0, 12], [30, 28]])
    cut, zoom, shift = cut_out(Image.fromarray(pixels), corners, size=400, margin=0.0)
    light = np.asarray(cut, dtype=np.float64)
    rows, columns = np.indices(light.shape)
    centre = [(columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()]
    assert zoom == 20
    assert centre == pytest.approx((zoom * np.array([19, 22]) + shift).tolist(), abs=0.01)
