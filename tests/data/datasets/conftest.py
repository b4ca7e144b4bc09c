from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

Points = npt.NDArray[np.float64]


@pytest.fixture
def draw() -> Callable[..., None]:
    """Draws a black picture, 64 x 48, whose given pixels (x, y), counted from 0, are white."""

    def draw(path: Path, *dots: tuple[int, int]) -> None:
        pixels = np.zeros((48, 64, 3), dtype=np.uint8)
        for x, y in dots:
            pixels[y, x] = 255
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    return draw


@pytest.fixture
def spread() -> Callable[[int], Points]:
    """Distinct positions [count, 2] inside such a picture."""

    def spread(count: int) -> Points:
        rows = np.arange(count)
        return np.stack([3.5 + rows % 10 * 4, 5.25 + rows // 10 * 3], axis=1)

    return spread


@pytest.fixture
def write_pts() -> Callable[[Path, Points], None]:
    """Writes a .pts file as iBUG does; the points stand there as they are given."""

    def write_pts(path: Path, points: Points) -> None:
        rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{rows}\n}}\n")

    return write_pts
