import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path):
    """A photo of noise, in a folder of its own."""
    path = tmp_path / "own" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)).save(path)
    return path
