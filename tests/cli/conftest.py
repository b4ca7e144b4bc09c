import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.cli import main


@pytest.fixture
def photo(tmp_path):
    """A photo of noise, in a folder of its own."""
    path = tmp_path / "own" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def run(capsys):
    """A function that runs a command and gives its exit code, standard output and standard error."""

    def command(*arguments):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return command
