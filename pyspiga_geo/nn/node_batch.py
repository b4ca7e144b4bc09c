"""Landmarks in the forms that a caller may have them, converted to the two forms that the steps take."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import to_dense_batch

from pyspiga_geo.nn.checks import as_edges, check_batch, check_mask, check_shape, has_values


class NodeBatch(NamedTuple):
    """Landmarks of B items: static ``[B, L, ...]``, or nodes ``[N, ...]`` with ``batch`` and edges of their own."""

    pos: Tensor  # 0 where a landmark does not exist
    edge_index: Tensor | None
    batch: Tensor | None  # [N], None in the static form
    x: Tensor | None
    mask: Tensor | None
    given: Tensor  # positions as they came
    flat: bool  # whether the caller's form is that of nodes
    rows: Tensor | None  # [B, L]: which places of the static form are nodes of the caller's; None: all of them

    def present(self, batch_size: int) -> Tensor:
        """[B, L] bool: which places of the static form hold a landmark that exists."""
        mask = self.pos.new_ones(self.pos.shape[:-1], dtype=torch.bool) if self.mask is None else self.mask
        return mask if self.batch is None else to_dense_batch(mask, self.batch, batch_size=batch_size)[0]

    def moved(self, pos: Tensor) -> Tensor:
        """Positions in the caller's form; landmarks that do not exist stay where they were."""
        return self._as_given(pos if self.mask is None else pos.where(self.mask[..., None], self.given))

    def features(self, x: Tensor) -> Tensor:
        """Node features in the caller's form, zero for landmarks that do not exist."""
        return self._as_given(x if self.mask is None else x.masked_fill(~self.mask[..., None], 0))

    def _as_given(self, value: Tensor) -> Tensor:
        if not self.flat or self.batch is not None:
            return value
        return value.flatten(0, 1) if self.rows is None else value[self.rows]


def as_node_batch(
    pos: Tensor,
    edge_index: Any,
    batch_size: int,
    sizes: tuple[int | None, int, int],
    batch: Tensor | None,
    x: Tensor | None,
    mask: Tensor | None,
) -> NodeBatch:
    """Check and convert what :class:`SPIGACascade` is given; ``sizes`` are its num_landmarks, dim and in_channels."""
    num_landmarks, dim, in_channels = sizes
    _check_pos(pos, batch_size, num_landmarks, dim, batch)
    flat, lead = pos.dim() == 2, list(pos.shape[:-1])
    leads = [lead] if flat else [lead, [batch_size, lead[1]]]
    if (x is not None) != bool(in_channels):
        raise ValueError(f"x goes with in_channels, which is {in_channels}")
    if x is not None:
        check_shape("x", x, *([*each, in_channels] for each in leads))
    check_mask(mask, *leads)
    edges = None if edge_index is None else as_edges(edge_index, lead[-1], lead[-1])
    own = flat and edges is not None

    rows = None
    if batch is not None and not own:
        rows = to_dense_batch(batch, batch, batch_size=batch_size)[1]
        if mask is None and not rows.all():
            mask = torch.ones_like(batch, dtype=torch.bool)
    if not own:
        pos = _by_item(pos, flat, batch, batch_size)
        x, mask = (each if each is None else _by_item(each, flat, batch, batch_size) for each in (x, mask))
    if own and batch is None and edges is not None:
        batch = _items(edges, pos.size(0), batch_size)
    safe = pos if mask is None else pos.masked_fill(~mask[..., None], 0)
    x = x if x is None or mask is None else x.masked_fill(~mask[..., None], 0)
    return NodeBatch(safe, edges, batch if own else None, x, mask, pos, flat, rows)


def _by_item(value: Tensor, flat: bool, batch: Tensor | None, batch_size: int) -> Tensor:
    """Values of nodes as [batch_size, N, ...]."""
    if not flat:
        return value.expand(batch_size, *value.shape[1:])
    if batch is None:
        return value.unflatten(0, (batch_size, -1))
    return to_dense_batch(value, batch, batch_size=batch_size)[0]


def within_items(conv: Callable[..., Any], x: Any, batch: Any, mask: Any, edge_attr: Any, need_weights: bool) -> Any:
    """Call an operator on the complete graph within each item of nodes [N, C], or of a pair of sets of nodes."""
    if edge_attr is not None:
        raise ValueError("edge_attr needs edge_index if batch is given")
    pair = isinstance(x, tuple)
    sets = [each if isinstance(each, tuple) else (each, each) for each in (x, batch, mask)]
    padded = []
    for nodes, items, exist in zip(*sets, strict=True):
        check_batch(items, nodes.size(0))
        size = max([1, *(int(each[-1]) + 1 for each in sets[1] if each.numel())])
        dense, rows = to_dense_batch(nodes, items, batch_size=size)
        check_mask(exist, items.shape)
        padded.append((dense, rows if exist is None else to_dense_batch(exist, items, batch_size=size)[0]))
    (source, there), (target, here) = padded
    x, mask = ((source, target), (there, here)) if pair else (target, here)
    if not need_weights:
        return conv(x, mask=mask)[rows]
    out, attention = conv(x, mask=mask, return_attention_weights=True)
    return out[rows], attention


def _items(edges: Tensor, num_nodes: int, batch_size: int) -> Tensor:
    """The item of each node, where all have as many, and edges count the nodes of all items."""
    each = num_nodes // batch_size
    if batch_size > 1 and has_values(edges) and edges.max() < each:
        raise ValueError(
            "edge_index over pos [N, d] counts the nodes of all items, and these edges are of the first item only; "
            "a graph that all items share goes with pos [B, L, d] (otherwise give batch)"
        )
    return torch.arange(batch_size, device=edges.device).repeat_interleave(each)


def _check_pos(pos: Tensor, batch_size: int, num_landmarks: int | None, dim: int, batch: Tensor | None) -> None:
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
