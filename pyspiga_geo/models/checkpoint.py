"""Weights on disk: safetensors with the configuration and the layout in the metadata."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models.config import SPIGAConfig, make_config
from pyspiga_geo.settings import refuse_code, shown

PRETRAINED = {name: Path(__file__).parent / "weights" / f"{name}_ibug68.safetensors" for name in ("base", "compact")}
"""Models that the package ships."""

_FORMAT = "pyspiga_geo.SPIGA"

Model = TypeVar("Model", bound=nn.Module)


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message names the file and says why.

    Example:
        >>> from pyspiga_geo import SPIGA
        >>> SPIGA.from_pretrained("missing.safetensors")
        Traceback (most recent call last):
        pyspiga_geo.models.checkpoint.CheckpointError: missing.safetensors: no such weights file, ...
    """


def write(
    path: str | Path,
    state: Mapping[str, Tensor],
    config: SPIGAConfig,
    layout: Layout,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a model's state with what is needed to build the model again, and what there is to know about it."""
    if not isinstance(config.conv, str):
        raise ValueError("a model whose conv is a function cannot be saved: name the operator, or save its state dict")
    tensors = {name: value.contiguous() for name, value in state.items()}
    metadata = {"format": _FORMAT, "config": json.dumps(asdict(config)), "layout": json.dumps(layout.to_dict())}
    if about is not None:
        metadata["about"] = json.dumps(about)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))  # save_file makes files that only their owner can read


def read(model: str | Path) -> tuple[dict[str, Tensor], SPIGAConfig, Layout]:
    """Read state, configuration and layout of a shipped model or of a file."""
    path = PRETRAINED.get(str(model), Path(model))
    if not path.is_file():
        known = ", ".join(PRETRAINED)
        raise CheckpointError(f"{model}: no such weights file, nor the name of a shipped model ({known})")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a file, not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a safetensors file, or damaged; a reference .pt goes through `pyspiga-geo convert` first"
        ) from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: these are weights of another kind of model, not of SPIGA")
    try:
        config = make_config("paper", **_plain(metadata["config"], "config"))
        layout = Layout(**_plain(metadata["layout"], "layout"))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be read: {error}") from error
    return state, config, layout


def load(build: Callable[[SPIGAConfig, Layout], Model], model: str | Path) -> Model:
    """Build a shipped model or that of a file, and fill it with its weights.

    Raises:
        CheckpointError: if the file is missing, damaged or of another kind.
    """
    state, config, layout = read(model)
    try:
        with torch.device("meta"):  # takes no memory, whatever sizes the file names
            check_fit(build(config, layout), state, model)
        loaded = build(config, layout)
    except CheckpointError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{model}: its configuration is not valid: {error}") from error
    fill(loaded, state, model)
    return loaded.eval()


def read_about(model: str | Path) -> dict[str, Any]:
    """Read what a weights file records about itself: recipe, versions, data.

    Args:
        model: a weights file, or the name of a shipped model.

    Returns:
        Names and values; empty if the file records nothing.

    Raises:
        CheckpointError: if the file is missing, damaged or of another kind.

    Example:
        >>> import tempfile
        >>> from pyspiga_geo import SPIGA
        >>> model = SPIGA.from_preset("compact", image_size=64, num_stacks=1, channels=16)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/small.safetensors", about={"seed": 7})
        ...     read_about(f"{folder}/small.safetensors")
        {'seed': 7}
    """
    path = PRETRAINED.get(str(model), Path(model))
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return _plain(metadata.get("about", "{}"), "about")
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{model}: its metadata cannot be read: {error}") from error


def _plain(text: str, name: str) -> dict[str, Any]:
    """A JSON object that names no code."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {shown(value)}, not names and values")
    refuse_code(value, name)
    return value


def check_fit(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise CheckpointError unless names and shapes of a state are those of a module, which may be on ``meta``."""
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(state)) + sorted(
        name for name in set(own) & set(state) if own[name].shape != state[name].shape
    )
    if wrong:
        raise CheckpointError(f"{source}: {len(wrong)} entries do not fit the model: {', '.join(wrong[:5])} ...")


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load a state strictly, in the precision of the module."""
    check_fit(module, state, source)
    own = module.state_dict()
    module.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items()})


def read_reference(path: str | Path) -> dict[str, Tensor]:
    """Read the authors' .pt file without running any code that it may contain.

    Raises:
        CheckpointError: when it is missing, not a PyTorch file, holds code or is not a state dict.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except Exception as error:  # torch raises many kinds for damaged files and for pickles with code
        raise CheckpointError(
            f"{path}: not a PyTorch weights file, damaged, or a pickle with code in it, which is never run"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{path}: not a state dict (a dict of names and tensors)")
    if odd := [name for name, value in state.items() if not _is_plain(value)]:
        raise CheckpointError(f"{path}: {odd[0]} is no dense tensor of real numbers")
    return state


def _is_plain(value: Tensor) -> bool:
    """Whether it is a tensor of the common kind: neither sparse, nested, quantized nor complex, and with a content."""
    common = value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested
    return common and not value.is_quantized and not value.is_complex()
