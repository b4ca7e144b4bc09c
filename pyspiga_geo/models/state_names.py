"""Names of a model's state: buffers of the start are stored without its name, as in the first weights files."""

from typing import Any

from torch import Tensor, nn

SHORT_NAMES = ("shape3d", "camera")
"""Buffers of the start that weights files store without the prefix ``start.``."""


def shorten(model: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    """Remove the prefix from a state dict that is about to be returned."""
    for name in SHORT_NAMES:
        if f"{prefix}start.{name}" in state:
            state[prefix + name] = state.pop(f"{prefix}start.{name}")


def lengthen(model: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Add the prefix to a state dict that is about to be loaded."""
    for name in SHORT_NAMES:
        if prefix + name in state:
            state[f"{prefix}start.{name}"] = state.pop(prefix + name)
