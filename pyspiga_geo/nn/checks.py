"""Checks of the arguments of layers; each message names the argument and what was expected."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.utils.sparse import is_sparse, to_edge_index


def check_shape(name: str, value: Tensor, *shapes: Sequence[int | str]) -> None:
    """Raise ValueError unless a tensor has one of the shapes; a string in a shape stands for any size."""
    if not any(
        value.dim() == len(shape)
        and all(isinstance(want, str) or have == want for have, want in zip(value.shape, shape, strict=True))
        for shape in shapes
    ):
        wanted = " or ".join("[" + ", ".join(map(str, shape)) + "]" for shape in shapes)
        raise ValueError(f"{name} must be {wanted}, got {list(value.shape)}")


def check_mask(mask: Tensor | None, *shapes: Sequence[int | str]) -> None:
    """Raise ValueError unless a mask is None, or bool and has one of the shapes."""
    if mask is not None:
        check_shape("mask", mask, *shapes)
        _check_dtype("mask", mask, torch.bool)


def check_batch(batch: Tensor | None, num_nodes: int, batch_size: int | None = None) -> None:
    """Raise ValueError unless ``batch`` is None, or holds the items of nodes [N], sorted."""
    if batch is None:
        return
    check_shape("batch", batch, [num_nodes])
    _check_dtype("batch", batch, torch.long)
    if not has_values(batch):
        return
    if batch[0] < 0 or (batch.diff() < 0).any():
        raise ValueError("batch must be sorted: the nodes of one item are consecutive, starting with item 0")
    if batch_size is not None and batch[-1] >= batch_size:
        raise ValueError(f"batch must be in 0..{batch_size - 1}, one of {batch_size} items, got {batch[-1]}")


def as_edges(edge_index: Any, num_sources: int, num_targets: int) -> Tensor:
    """Edges [2, E] of whatever PyG accepts as edges (in a sparse ``adj_t`` the rows are targets).

    Raises:
        ValueError: unless they are int64 and stay within the graph.
    """
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    elif is_sparse(edge_index):
        edge_index = to_edge_index(edge_index)[0].flip(0)
    if not isinstance(edge_index, Tensor):
        raise ValueError(f"edge_index must be int64 [2, E] or sparse, got {type(edge_index).__name__}")
    check_shape("edge_index", edge_index, [2, "E"])
    _check_dtype("edge_index", edge_index, torch.long)
    if has_values(edge_index):
        low, high = edge_index.aminmax(dim=1)
        if low.min() < 0 or high[0] >= num_sources or high[1] >= num_targets:
            raise ValueError(
                f"edge_index must be in 0..{num_sources - 1} (sources) and 0..{num_targets - 1} (targets), "
                f"got {low[0]}..{high[0]} and {low[1]}..{high[1]}"
            )
    return edge_index


def has_values(tensor: Tensor) -> bool:
    """Whether there are values to check: there are none while compiling, nor on the device "meta"."""
    return not torch.compiler.is_compiling() and not tensor.is_meta and tensor.numel() > 0


def _check_dtype(name: str, value: Tensor, dtype: torch.dtype) -> None:
    if value.dtype != dtype:
        raise ValueError(f"{name} must be {str(dtype)[6:]}, got {str(value.dtype)[6:]}")  # without "torch."
