import functools

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once():
    """Many commands of these tests use the same weights, and reading them takes most of the time of a short one."""
    from pyspiga_geo.inference import aligner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligner, "load_model", functools.cache(aligner.load_model))
        yield


@pytest.fixture
def photo(tmp_path):
    """A photo without a face, in a folder of its own: smooth colours, which are written quickly."""
    path = tmp_path / "own" / "photo.png"
    path.parent.mkdir()
    x, y = np.meshgrid(np.linspace(0, 255, 140), np.linspace(0, 255, 120))
    Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def portrait():
    """A small picture of one face."""
    from skimage.data import astronaut

    return Image.fromarray(astronaut()).crop((150, 20, 310, 180)).resize((80, 80))
