"""A model without Python between its operations: recorded once, then replayed by TorchScript."""

import threading
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from pyspiga_geo.models.output import SPIGAOutput

CALLS = 20
"""Calls before a model is recorded: that takes about a second, which few calls would not win back."""

_ONE_AT_A_TIME = threading.Lock()

M = Any  # SPIGA, which imports this file

_KNOWN = ("pyspiga_geo.", "torch.nn.", *(f"torch_geometric.nn.{part}." for part in ("aggr", "dense", "models", "norm")))
"""Where modules come from of which none decides by the values that it is given."""


def can_be_traced(model: nn.Module) -> bool:
    """Whether all modules are known; a graph operator of PyG or of a user is not."""
    return all(type(each).__module__.startswith(_KNOWN) for each in model.modules())


class Traced:
    """The forward pass of a model; from the 20th call on a recording of it, which returns the same.

    Recorded is what runs on the CPU for crops alone: calls with edges, for attention or under autocast run as before.
    The recording serves any number of faces.

    Args:
        model: in evaluation mode. Its weights must not be changed afterwards.
    """

    def __init__(self, model: M) -> None:
        self.model = model
        self.calls = 0
        self.recorded: tuple[Any, list[bool], Any] | None = None  # the program, and how its tensors make an output

    def __call__(self, images: Tensor, edge_index: Tensor | None = None, return_attention: bool = False) -> SPIGAOutput:
        """As :meth:`SPIGA.forward`."""
        model, size = self.model, self.model.config.image_size
        usual = edge_index is None and not return_attention and not model.training and not images.requires_grad
        usual &= not torch.is_autocast_enabled("cpu")  # of which a recording knows nothing
        if not usual or images.device.type != "cpu" or images.shape[1:] != (3, size, size) or not len(images):
            return self._run(images, edge_index, return_attention)
        self.calls += 1
        if self.recorded is None and self.calls >= CALLS:
            with _ONE_AT_A_TIME:
                self.recorded = self.recorded or self._record(images)
        if self.recorded is None or not images.is_floating_point():
            return self._run(images)
        program, present, structure = self.recorded
        tensors = iter(program(images))
        return _pytree.tree_unflatten([next(tensors) if there else None for there in present], structure)

    def __reduce__(self) -> tuple[type["Traced"], tuple[M]]:
        return Traced, (self.model,)  # copies record anew

    def _run(self, *arguments: Any) -> SPIGAOutput:
        return type(self.model).forward(self.model, *arguments)

    def _record(self, images: Tensor) -> tuple[Any, list[bool], Any]:
        parts, structure = _pytree.tree_flatten(self._run(images))
        present = [part is not None for part in parts]
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the recorder warns of each size that it takes as fixed, and of its age
            crops = torch.zeros(2, *images.shape[1:], dtype=images.dtype)
            traced = torch.jit.trace(_Tensors(self), crops, check_trace=False)
            return torch.jit.freeze(traced.eval(), optimize_numerics=False), present, structure


class _Tensors(nn.Module):
    """A model whose output is a tuple of tensors, as the recorder wants it."""

    def __init__(self, traced: Traced) -> None:
        super().__init__()
        self.model = traced.model
        self.run = traced._run
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(part for part in _pytree.tree_leaves(self.run(images)) if part is not None)
