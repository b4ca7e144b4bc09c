"""Landmarks in the forms that a caller may have them, brought into the two forms that the steps know."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import to_dense_batch

from pyspiga_geo.nn.checks import as_edges, check_batch, check_mask, check_shape, has_values


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
    flat: bool
    """Whether the caller's form is that of nodes."""
    rows: Tensor | None
    """[B, L] bool: which places of the static form are nodes of the caller's; None: all of them."""

    def present(self, batch_size: int) -> Tensor:
        """[B, L] bool: which places of the static form hold a landmark that exists."""
        mask = (
            self.given.new_ones(self.given.shape[:-1], dtype=torch.bool) if self.mask is None else self.mask
        )
        return mask if self.batch is None else to_dense_batch(mask, self.batch, batch_size=batch_size)[0]

    def moved(self, pos: Tensor) -> Tensor:
        """Positions in the caller's form; landmarks that do not exist stay where they were."""
        kept = pos if self.mask is None else torch.where(self.mask[..., None], pos, self.given)
        return self._as_given(kept)

    def features(self, x: Tensor) -> Tensor:
        """Node features in the caller's form, zero for landmarks that do not exist."""
        return self._as_given(x if self.mask is None else x.masked_fill(~self.mask[..., None], 0))

    def _as_given(self, value: Tensor) -> Tensor:
        if not self.flat or self.batch is not None:
            return value
        return value.flatten(0, 1) if self.rows is None else value[self.rows]


def pad_items(batch: Tensor, batch_size: int, *values: Tensor) -> list[Tensor]:
    """Fill up nodes [N, ...] to a static form [B, L, ...]: which places are nodes [B, L], then the values."""
    padded = [to_dense_batch(value, batch, batch_size=batch_size) for value in (batch, *values)]
    return [padded[0][1], *(value for value, _ in padded[1:])]


def as_node_batch(
    pos: Tensor,
    edge_index: Any,
    batch_size: int,
    *,
    num_landmarks: int | None,
    dim: int,
    in_channels: int,
    batch: Tensor | None,
    x: Tensor | None,
    mask: Tensor | None,
) -> NodeBatch:
    """Check and convert what :class:`~pyspiga_geo.nn.SPIGACascade` is given.

    Raises:
        ValueError: when shapes do not fit each other or the number of items.
    """
    _check_pos(pos, batch_size, num_landmarks, dim, batch)
    flat, rows, count = pos.dim() == 2, None, list(pos.shape[:-1])
    counts = [count] if flat else [count, [batch_size, count[1]]]
    if (x is not None) != bool(in_channels):
        raise ValueError(f"x goes with in_channels, which is {in_channels}")
    if x is not None:
        check_shape("x", x, *([*each, in_channels] for each in counts))
    if mask is not None:
        check_mask("mask", mask, *counts)
    edges = None if edge_index is None else as_edges(edge_index, count[-1], count[-1])
    values = [pos, *(each for each in (x, mask) if each is not None)]
    if not flat:
        values = [each.expand(batch_size, *each.shape[1:]) for each in values]
    elif edges is not None and batch is None:
        each = pos.size(0) // batch_size
        if batch_size > 1 and has_values(edges) and edges.max() < each:
            raise ValueError(
                "edge_index over pos [N, d] counts the nodes of all items, and these edges are of the first item "
                "only; a graph that all items share goes with pos [B, L, d] (otherwise give batch)"
            )
        batch = torch.arange(batch_size, device=pos.device).repeat_interleave(each)
    elif edges is None and batch is None:
        values = [each.unflatten(0, (batch_size, -1)) for each in values]
    elif edges is None and batch is not None:
        rows, *values = pad_items(batch, batch_size, *values)
        batch = None
    pos, x, mask = values[0], None if x is None else values[1], None if mask is None else values[-1]
    if mask is None and rows is not None and not rows.all():
        mask = rows
    if mask is None:
        return NodeBatch(pos, edges, batch, x, mask, pos, flat, rows)
    absent = ~mask[..., None]
    x = None if x is None else x.masked_fill(absent, 0)
    return NodeBatch(pos.masked_fill(absent, 0), edges, batch, x, mask, pos, flat, rows)


def _check_pos(
    pos: Tensor, batch_size: int, num_landmarks: int | None, dim: int, batch: Tensor | None
) -> None:
    if batch is None:
        wanted, rows = ("L", "B L") if num_landmarks is None else (num_landmarks, batch_size * num_landmarks)
        several = [] if batch_size == 1 else [[1, wanted, dim]]
        check_shape("pos", pos, [batch_size, wanted, dim], [rows, dim], *several)
        if pos.dim() == 2 and pos.size(0) % batch_size:
            raise ValueError(f"pos [N, {dim}] of {batch_size} items of different sizes needs batch [N]")
        return
    check_shape("pos", pos, ["N", dim])
    check_batch(batch, pos.size(0), batch_size)
    counts = torch.bincount(batch, minlength=batch_size)
    if num_landmarks is not None and (counts != num_landmarks).any():
        raise ValueError(
            f"each item must have {num_landmarks} landmarks, got {counts.tolist()}; for graphs of different sizes "
            "make the cascade with num_landmarks=None"
        )
