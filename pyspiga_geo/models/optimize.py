"""A model prepared for inference: the same landmarks, faster."""

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import MultitaskHourglass
from pyspiga_geo.models.fold import fold_batch_norm, fold_padding
from pyspiga_geo.models.output import SPIGAOutput
from pyspiga_geo.models.trace import Traced

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
"""Precisions in which a model can run."""

M = Any  # SPIGA, which imports this file


def optimized(
    model: M, *, fold: bool, drop_heads: bool, channels_last: bool, dtype: torch.dtype, compile: bool, trace: bool
) -> M:
    """What :meth:`SPIGA.optimize` returns; see there for the arguments."""
    if dtype not in DTYPES:
        known = ", ".join(str(each).removeprefix("torch.") for each in DTYPES)
        raise ValueError(f"dtype must be one of {known}, got {dtype}")
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    fast.built = False  # its state fits no configuration
    if drop_heads:
        _drop_heads(fast)
    if fold:
        fold_batch_norm(fast)
        fold_padding(fast)
    fast.to(dtype)
    if channels_last:
        fast.to(memory_format=torch.channels_last)
    if compile:
        _compile(fast)
    elif trace:
        fast.forward = Traced(fast)
    return fast


class Compiled:
    """The compiled forward pass of a model, for any number of faces.

    One face would be compiled separately, for minutes, and then be no faster on the CPU than traced, as it is here.
    """

    def __init__(self, model: M) -> None:
        self.model = model
        self.one = Traced(model)
        self.many = torch.compile(MethodType(type(model).forward, model), dynamic=True)

    def __call__(self, images: Tensor, *arguments: Any, **options: Any) -> SPIGAOutput:
        """As :meth:`SPIGA.forward`."""
        run = self.one if images.dim() == 4 and len(images) < 2 and images.device.type == "cpu" else self.many
        out: SPIGAOutput = run(images, *arguments, **options)
        return out

    def __reduce__(self) -> tuple[type["Compiled"], tuple[M]]:
        return Compiled, (self.model,)  # copies compile anew


def _drop_heads(model: M) -> None:
    """Drop what only training reads: pose of all hourglasses but the last, and the last one's landmarks if unused."""
    if not isinstance(model.backbone, MultitaskHourglass):
        return
    *others, last = model.backbone.stacks
    for stack in others:
        stack.core = nn.Sequential()
        stack.add_module("pose", nn.Identity())
    if not model.cascade.heatmap_windows:
        last.add_module("landmarks", nn.Identity())


def _compile(model: M) -> None:
    """Compile in place, for any number of faces; a missing compiler is reported now and not at the first face."""
    if next(model.parameters()).device.type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except (InvalidCxxCompiler, RuntimeError, OSError) as error:
            raise ValueError("compile needs a C++ compiler, such as g++; compile=False does not need one") from error
    model.forward = Compiled(model)
