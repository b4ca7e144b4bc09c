import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.models import SPIGA

TINY = {
    "image_size": 32,
    "channels": 16,
    "num_stacks": 2,
    "depth": 1,
    "num_steps": 2,
    "num_layers": 2,
    "heads": 2,
    "node_channels": 16,
    "hidden_channels": 16,
    "samples": 3,
}


def load_file(path: Path) -> ModuleType:
    """Import a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The independent implementation of the authors' network."""
    return load_file(Path(__file__).with_name("reference_network.py"))


@pytest.fixture(scope="session")
def entries() -> ModuleType:
    """Names, shapes and values of the authors' entries."""
    return load_file(Path(__file__).with_name("reference_entries.py"))


@pytest.fixture(scope="session")
def kit(shared: Path) -> ModuleType:
    """What fills the authors' network in the parity kit."""
    return load_file(shared / "parity" / "fill.py")


@pytest.fixture(scope="session")
def small_state(entries: ModuleType) -> Callable[[str], dict[str, torch.Tensor]]:
    """The full state dict of a small reference network, by layout; the tensors are the caller's."""

    @cache
    def drawn(layout: str) -> dict[str, torch.Tensor]:
        landmarks, columns = get_layout(layout).boundary_matrix.shape
        return entries.named_values(entries.reference_shapes(landmarks, columns - 1, **entries.SMALL))

    return lambda layout: {name: value.clone() for name, value in drawn(layout).items()}


@pytest.fixture
def small_model(entries: ModuleType, float64: None) -> Callable[..., SPIGA]:
    """An untrained model of the size that ``small_state`` is for, in float64."""

    def make(layout: str = "ibug68", preset: str = "reference", **overrides: object) -> SPIGA:
        return SPIGA.from_preset(preset, layout=layout, **{**entries.SMALL, **overrides}).eval()

    return make


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., SPIGA]:
    """An untrained model that answers at once; keyword arguments change its configuration."""

    def make(layout: str | Layout = "ibug68", preset: str = "compact", **overrides: object) -> SPIGA:
        return SPIGA.from_preset(preset, layout=layout, **{**TINY, **overrides}).eval()

    return make


@pytest.fixture
def float64() -> Iterator[None]:
    """New tensors and layers are float64 during the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
