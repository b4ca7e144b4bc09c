"""What all tests share. PyTorch is imported where it is used: the process that shares out the tests needs none."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspiga_geo import SPIGA

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib: no test opens a window

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names of tests are the same in every process, or pytest-xdist could not share them out."""
    for item in items:
        if " at 0x" in item.name or "tensor(" in item.name:
            raise pytest.UsageError(f"{item.nodeid}: give the parameters ids that are short and always the same")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data, which is not part of the repository; without it the test is skipped."""
    named = os.environ.get("PYSPIGA_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if (folder / "parity").is_dir():
        return folder
    if named:
        pytest.fail(f"PYSPIGA_SHARED={named} is not the shared reference folder: it has no folder 'parity'")
    pytest.skip("needs the shared reference folder (set PYSPIGA_SHARED)")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Every test starts from the same seed."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - for code that draws from the global generator
    torch.default_generator.manual_seed(0)  # torch.manual_seed takes a hundred times as long, for GPUs


@pytest.fixture(scope="session")
def tiny_model() -> SPIGA:
    """An untrained model for ibug68, small enough to run in milliseconds."""
    import torch

    from pyspiga_geo import SPIGA

    torch.manual_seed(0)
    return SPIGA.from_preset(
        "compact",
        image_size=64,
        channels=16,
        crop_scale=1.6,
        num_stacks=1,
        depth=2,
        node_channels=16,
        hidden_channels=16,
    ).eval()


@pytest.fixture(scope="module")
def weights(tiny_model, tmp_path_factory):
    """Weights of an untrained model."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    tiny_model.save(path)
    return path


@pytest.fixture(scope="module")
def unpainted():
    """Figures stay blank in this file: painting takes most of the time of a report."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "draw", lambda *_: None)
        yield


@pytest.fixture
def run(capsys):
    """A function that runs a command and gives its exit code, standard output and standard error."""

    from pyspiga_geo.cli import main

    def command(*arguments):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return command
