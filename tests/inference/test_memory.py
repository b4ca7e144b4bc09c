"""Thousands of photos in one process: memory does not grow."""

import gc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo import FaceAligner
from pyspiga_geo.inference import find_faces


def resident_megabytes() -> float:
    gc.collect()
    with Path("/proc/self/status").open() as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(("workers", "settled"), [(0, 200), (2, 2500)])
def test_five_thousand_photos_take_no_more_memory_than_the_first(tiny_model, tmp_path, workers, settled):
    """What the allocator keeps for further threads grows at first, by some 80 MB; it must come to an end."""
    rng = np.random.default_rng(0)
    photos = []
    for number in range(20):  # of different sizes
        photos.append(tmp_path / f"{number}.png")
        pixels = rng.integers(0, 256, (90 + 7 * number, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos[-1])
    searched = []

    def detector(image):
        searched.append(None)
        if len(searched) % 25 == 0:  # the search takes longest
            find_faces(image)
        return [[30.0, 20.0, 50.0, 60.0]] * (len(searched) % 4)

    endless = (photos[number % 20] for number in range(5000))
    early = 0.0
    for number, _ in enumerate(FaceAligner(tiny_model, detector).stream(endless, workers=workers)):
        if number == settled:
            early = resident_megabytes()
    assert number == 4999
    assert resident_megabytes() < early + 25
