"""Folders of frames."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from pyspiga_geo.data import read_image
from pyspiga_geo.tracking.decoding import Stamped

_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"))
"""Suffixes of frames."""


def frame_files(folder: Path) -> list[Path]:
    """The pictures in a folder, in natural order.

    Raises:
        ValueError: if there is none.
    """
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    files = [path for path in pictures if not path.name.startswith(".")]
    if not files:
        raise ValueError(f"{folder}: contains no pictures")
    return sorted(files, key=lambda path: natural_order(path.name))


def natural_order(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts numbers in names by their value.

    Example:
        >>> sorted(["b2.png", "b10.png", "B1.png"], key=natural_order)
        ['B1.png', 'b2.png', 'b10.png']
    """
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in re.split(r"(\d+)", name) if part]


def read_frames(files: Sequence[Path], fps: Fraction) -> Iterator[Stamped]:
    """The frames with their times in seconds.

    Raises:
        pyspiga_geo.data.ImageError: if a picture cannot be read.
        ValueError: if a picture differs in size from the first.
    """
    shape = None
    for number, path in enumerate(files):
        pixels = (255 * read_image(path)).round().byte().permute(1, 2, 0).contiguous().numpy()
        shape = shape or pixels.shape
        if pixels.shape != shape:
            (height, width), (first_height, first_width) = pixels.shape[:2], shape[:2]
            raise ValueError(
                f"{path}: {width} x {height} pixels, but the first frame has {first_width} x {first_height}"
            )
        yield float(number / fps), np.ascontiguousarray(pixels)
