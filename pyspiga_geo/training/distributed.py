"""Sums over processes, so that several train as one would with all their faces in one batch. Needs PyTorch only."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _SumOverProcesses(torch.autograd.Function):
    """As ``torch.distributed.nn.functional.all_reduce``, which is deprecated, and its substitute is private."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        total: Tensor = _SumOverProcesses.apply(grad[0])
        return total


def sum_over_processes(value: Tensor) -> Tensor:
    """Sum of the processes' values, the same in each; gradients flow back to all of them."""
    total: Tensor = value if world_size() == 1 else _SumOverProcesses.apply(value)
    return total
