"""Landmarks in the forms that a caller may have them, brought into the two forms that the steps know."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import is_torch_sparse_tensor, to_dense_batch

from pyspiga_geo.nn.checks import check_mask, check_shape


class NodeBatch(NamedTuple):
    """Landmarks of B items: static ``[B, L, ...]``, or nodes ``[N, ...]`` with ``batch`` and edges of their own."""

    pos: Tensor
    """Positions, 0 where a landmark does not exist."""
    edge_index: Tensor | None
    batch: Tensor | None
    """[N] where the form is that of nodes, else None."""
    x: Tensor | None
    mask: Tensor | None
    given: Tensor
    """Positions as they came."""
    rows: Tensor | None
    """[B, L] bool: which places of the static form are nodes of the caller's."""
    flat: bool
    """Whether the caller's form is that of nodes."""

    def moved(self, pos: Tensor) -> Tensor:
        """Positions in the caller's form; landmarks that do not exist stay where they were."""
        return self._as_given(
            pos if self.mask is None else torch.where(self.mask[..., None], pos, self.given)
        )

    def features(self, x: Tensor) -> Tensor:
        """Node features in the caller's form, zero for landmarks that do not exist."""
        return self._as_given(x if self.mask is None else x.masked_fill(~self.mask[..., None], 0))

    def _as_given(self, value: Tensor) -> Tensor:
        if self.rows is not None:
            return value[self.rows]
        return value.flatten(0, 1) if self.flat and self.batch is None else value


def as_node_batch(
    pos: Tensor,
    edge_index: Tensor | None,
    batch_size: int,
    num_landmarks: int | None,
    dim: int,
    *,
    batch: Tensor | None = None,
    x: Tensor | None = None,
    in_channels: int = 0,
    mask: Tensor | None = None,
) -> NodeBatch:
    """Check and convert what :class:`~pyspiga_geo.nn.SPIGACascade` is given.

    Raises:
        ValueError: when shapes do not fit each other or the number of items.
    """
    _check(pos, batch_size, num_landmarks, dim, batch)
    if (x is not None) != bool(in_channels):
        raise ValueError(f"x goes with in_channels, which is {in_channels}")
    flat, rows = pos.dim() == 2, None
    count = [*pos.shape[:-1]]
    if x is not None:
        check_shape("x", x, [*count, in_channels], *([] if flat else [[batch_size, *count[1:], in_channels]]))
    if mask is not None and flat and mask.dim() == 2:
        mask = mask.flatten()
    if not flat:
        pos = pos.expand(batch_size, -1, -1)
        x = None if x is None else x.expand(batch_size, -1, -1)
        mask = mask if mask is None or mask.size(0) == batch_size else mask.expand(batch_size, -1)
    check_mask("mask", mask, pos.shape[:-1])
    if flat and edge_index is not None:
        if batch is None:
            each = pos.size(0) // batch_size
            _check_own_edges(edge_index, each, batch_size)
            batch = torch.arange(batch_size, device=pos.device).repeat_interleave(each)
    elif flat and batch is None:
        pos, x, mask = (None if t is None else t.unflatten(0, (batch_size, -1)) for t in (pos, x, mask))
    elif flat:
        pos, rows = to_dense_batch(pos, batch, batch_size=batch_size)
        x, mask = (
            None if t is None else to_dense_batch(t, batch, batch_size=batch_size)[0] for t in (x, mask)
        )
        if not rows.all():
            mask = rows if mask is None else mask & rows
        batch = None
    assert pos is not None
    safe = pos if mask is None else pos.masked_fill(~mask[..., None], 0)
    if x is not None and mask is not None:
        x = x.masked_fill(~mask[..., None], 0)
    return NodeBatch(safe, edge_index, batch, x, mask, pos, rows, flat)


def _check(pos: Tensor, batch_size: int, num_landmarks: int | None, dim: int, batch: Tensor | None) -> None:
    wanted: int | str = "L" if num_landmarks is None else num_landmarks
    if batch is not None:
        check_shape("pos", pos, ["N", dim])
        check_shape("batch", batch, [len(pos)])
        counts = torch.bincount(batch, minlength=batch_size)
        if len(counts) != batch_size or (batch.diff() < 0).any():
            raise ValueError(f"batch must be sorted numbers of {batch_size} items, as feature_map has")
        if num_landmarks is not None and (counts != num_landmarks).any():
            raise ValueError(
                f"each item must have {num_landmarks} landmarks, got {counts.tolist()}; for graphs of different "
                "sizes make the cascade with num_landmarks=None"
            )
        return
    several = [] if batch_size == 1 else [[1, wanted, dim]]
    rows = "B L" if num_landmarks is None else batch_size * num_landmarks
    check_shape("pos", pos, [batch_size, wanted, dim], [rows, dim], *several)
    if pos.dim() == 2 and pos.size(0) % batch_size:
        raise ValueError(f"pos [N, {dim}] of {batch_size} items of different sizes needs batch [N]")


def _check_own_edges(edge_index: Tensor, num_landmarks: int, batch_size: int) -> None:
    listed = isinstance(edge_index, Tensor) and not is_torch_sparse_tensor(edge_index)
    if torch.compiler.is_compiling() or batch_size == 1 or not listed or not edge_index.numel():
        return
    if edge_index.max() < num_landmarks:
        raise ValueError(
            "edge_index over pos [N, d] counts the nodes of all items, and these edges are of the first item only; "
            "a graph that all items share goes with pos [B, L, d]"
        )
