"""Checks of what is handed to the layers; each message names the argument and what was expected."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_shape(
    name: str, value: Tensor, expected: Sequence[int | str], *others: Sequence[int | str]
) -> None:
    """Raise ValueError unless a tensor has one of the shapes; a string in a shape stands for any size."""
    shapes = (expected, *others)
    if not any(
        value.dim() == len(shape)
        and all(isinstance(want, str) or have == want for have, want in zip(value.shape, shape, strict=True))
        for shape in shapes
    ):
        wanted = " or ".join("[" + ", ".join(map(str, shape)) + "]" for shape in shapes)
        raise ValueError(f"{name} must be {wanted}, got {list(value.shape)}")


def check_edges(edge_index: Tensor, num_sources: int, num_targets: int) -> None:
    """Raise ValueError unless edges [2, E] are whole numbers that stay within the graph."""
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        kind = str(edge_index.dtype).removeprefix("torch.")
        raise ValueError(f"edge_index must be int64 [2, E], got {kind} {list(edge_index.shape)}")
    if torch.compiler.is_compiling() or edge_index.is_meta or not edge_index.numel():
        return  # the values are not there to be looked at
    low, high = edge_index.aminmax(dim=1)
    if low.min() < 0 or high[0] >= num_sources or high[1] >= num_targets:
        raise ValueError(
            f"edge_index must be in 0..{num_sources - 1} (sources) and 0..{num_targets - 1} (targets), "
            f"got {low[0].item()}..{high[0].item()} and {low[1].item()}..{high[1].item()}"
        )


def check_mask(name: str, mask: Tensor | None, shape: Sequence[int]) -> None:
    """Raise ValueError unless a mask is None or bool of this shape."""
    if mask is not None:
        check_shape(name, mask, shape)
        if mask.dtype != torch.bool:
            raise ValueError(f"{name} must be bool, got {str(mask.dtype).removeprefix('torch.')}")
