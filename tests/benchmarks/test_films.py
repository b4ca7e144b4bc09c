import subprocess
import sys
from pathlib import Path

import films
import numpy as np
import pytest
from PIL import Image, ImageDraw

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "films.py"


@pytest.mark.parametrize("seconds", [0.0, 0.7, 2.2])
def test_landmarks_lie_where_the_picture_shows_them(seconds):
    points = np.array([[100.0, 80], [180, 90], [140, 170]])
    photo = Image.new("RGB", (300, 240))
    for x, y in points:
        ImageDraw.Draw(photo).rectangle([x - 3, y - 3, x + 3, y + 3], "white")
    matrix = films.view(photo, points, seconds)
    frame = np.asarray(films.seen(photo, matrix), dtype=float).mean(axis=2)
    for x, y in films.moved(points, matrix):
        left, top = round(x) - 20, round(y) - 20
        part = np.clip(frame[top : top + 41, left : left + 41] - 60, 0, None)  # without the blurred background
        rows, columns = np.mgrid[top : top + 41, left : left + 41]
        assert (part * columns).sum() / part.sum() == pytest.approx(x, abs=0.15)
        assert (part * rows).sum() / part.sum() == pytest.approx(y, abs=0.15)


@pytest.mark.slow
def test_smallest_run(tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    command = [
        sys.executable,
        str(SCRIPT),
        "--frames",
        "12",
        "--crossing",
        "12",
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "frames without exactly the one face: none" in said
    assert said.count("crossing, ") == 2
    assert (tmp_path / "drawn.mp4").is_file()
