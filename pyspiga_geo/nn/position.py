"""Position encodings, by name: what a landmark knows about its position and those of the others.

All are called as ``module(pos, edge_index, mask=mask, batch=batch)``: ``pos`` [B, L, d], pixel index divided by
resolution, or [N, d] with edges of their own and ``batch`` [N]; ``mask`` bool, the landmarks that exist. They return
a vector for each landmark.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from pyspiga_geo.graph import batch_edges, complete_edges
from pyspiga_geo.nn.checks import as_edges, check_shape
from pyspiga_geo.nn.mlp import NodeMLP

POSITIONS = ("ordered", "learned", "pooled", "none")
"""Position encodings that :func:`make_position` knows by name."""

PositionFactory = Callable[[int], nn.Module]
"""A function (channels) -> module, which returns vectors of that size."""


class RelativePositionEncoder(nn.Module):
    """Embed the displacements of each landmark from all others: r_i = MLP(p_i - p_j for j != i, in order).

    The L - 1 displacements are concatenated, so that the encoding knows which landmark is which; it needs a
    fixed, ordered set of landmarks. Displacements from landmarks that do not exist are 0.

    Args:
        num_landmarks: L, two or more.
        out_channels: size of the embedding.
        hidden_channels: sizes of the hidden layers.
        dim: coordinates of a position.
        norm: normalisation in the MLP (:class:`NodeMLP`).

    Raises:
        ValueError: for fewer than two landmarks, or positions of another number of them.

    Example:
        >>> RelativePositionEncoder(68, 32)(torch.rand(4, 68, 2)).shape
        torch.Size([4, 68, 32])
    """

    def __init__(
        self,
        num_landmarks: int,
        out_channels: int,
        hidden_channels: Sequence[int] = (256, 256),
        *,
        dim: int = 2,
        norm: str = "batch_norm",
    ) -> None:
        super().__init__()
        if num_landmarks < 2:
            raise ValueError(f"num_landmarks must be at least 2, got {num_landmarks}")
        self.num_landmarks = num_landmarks
        self.mlp = NodeMLP([dim * (num_landmarks - 1), *hidden_channels, out_channels], norm)

    def forward(self, pos: Tensor, *_: Any, mask: Tensor | None = None, **__: Any) -> Tensor:
        """Embed positions; edges are ignored.

        Args:
            pos: [B, L, d] or [B L, d].
            mask: bool, one per landmark. Default: all exist.

        Returns:
            [..., out_channels].
        """
        check_shape("pos", pos, ["B", self.num_landmarks, "d"], ["B L", "d"])
        static = pos.reshape(-1, self.num_landmarks, pos.size(-1))
        displacement = _without_diagonal(static.unsqueeze(2) - static.unsqueeze(1))  # [B, L, L - 1, d]
        if mask is not None:
            pairs = mask.view(static.shape[:2])[:, None, :, None].expand(-1, self.num_landmarks, -1, -1)
            displacement = displacement.masked_fill(~_without_diagonal(pairs), 0)
        return self.mlp(displacement.flatten(2).flatten(0, 1), mask).unflatten(0, pos.shape[:-1])


def _without_diagonal(pairs: Tensor) -> Tensor:
    """Of pairs [B, L, L, d] those of a landmark with the others, in order [B, L, L - 1, d].

    In a row of all pairs but the first, every (L + 1)-th is one of a landmark with itself.
    """
    size = pairs.size(1)
    return (
        pairs.flatten(1, 2)[:, 1:].unflatten(1, (size - 1, size + 1))[:, :, :-1].flatten(1, 2).unflatten(1, (size, -1))
    )


class LearnedPosition(nn.Module):
    """A vector for each landmark, the same wherever it is, as in `"Sparse Local Patch Transformer for Robust Face
    Alignment and Landmarks Inherent Relation Learning" <https://arxiv.org/abs/2203.06541>`_ (CVPR 2022).

    Args:
        num_landmarks: L.
        out_channels: size of the vectors.

    Raises:
        ValueError: for positions of another number of landmarks.

    Example:
        >>> LearnedPosition(68, 32)(torch.rand(4, 68, 2)).shape
        torch.Size([4, 68, 32])
    """

    def __init__(self, num_landmarks: int, out_channels: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(num_landmarks, out_channels))
        nn.init.normal_(self.vectors, std=0.02)

    def forward(self, pos: Tensor, *_: Any, **__: Any) -> Tensor:
        """The vectors, repeated for each item; only the shape of the positions matters.

        Args:
            pos: [B, L, d] or [B L, d].

        Returns:
            [..., out_channels].
        """
        num_landmarks = self.vectors.size(0)
        check_shape("pos", pos, ["B", num_landmarks, "d"], ["B L", "d"])
        items = pos.reshape(-1, num_landmarks, pos.size(-1)).size(0)
        return self.vectors.expand(items, -1, -1).flatten(0, 1).unflatten(0, pos.shape[:-1])


class PooledPositionEncoder(nn.Module):
    """Embed the displacements from the neighbours in any order: r_i = mean over j of MLP(p_i - p_j).

    Permutation-equivariant, and for any number of landmarks. Landmarks without a neighbour get zero. Without edges
    all landmarks (of an item) are neighbours.

    Args:
        out_channels: size of the embedding.
        dim: coordinates of a position.
        norm: normalisation in the MLP (:class:`NodeMLP`), over all displacements.

    Example:
        >>> PooledPositionEncoder(32)(torch.rand(4, 68, 2)).shape
        torch.Size([4, 68, 32])
    """

    def __init__(self, out_channels: int, *, dim: int = 2, norm: str = "batch_norm") -> None:
        super().__init__()
        self.mlp = NodeMLP([dim, 64, 64, out_channels], norm)

    def forward(
        self, pos: Tensor, edge_index: Any = None, *, mask: Tensor | None = None, batch: Tensor | None = None
    ) -> Tensor:
        """Embed positions.

        Args:
            pos: [B, L, d] or [N, d].
            edge_index: [2, E] over the landmarks (over the N nodes for [N, d]). Default: the complete graph.
            mask: bool, one per landmark. Default: all exist.
            batch: [N], the item of each node.

        Returns:
            [..., out_channels].
        """
        nodes, num_nodes = pos.reshape(-1, pos.size(-1)), pos.size(-2)
        if edge_index is not None:
            edges = as_edges(edge_index, num_nodes, num_nodes)
            edges = edges[:, edges[0] != edges[1]]  # a displacement to itself says nothing
        else:
            edges = complete_edges(num_nodes, pos.device)
            edges = edges if batch is None else edges[:, batch[edges[0]] == batch[edges[1]]]
        edges = batch_edges(edges, num_nodes, pos.size(0) if pos.dim() == 3 else 1)
        if mask is not None:
            edges = edges[:, mask.flatten()[edges].all(dim=0)]
        embedded = self.mlp(nodes[edges[1]] - nodes[edges[0]])
        return scatter(embedded, edges[1], dim_size=nodes.size(0), reduce="mean").unflatten(0, pos.shape[:-1])


def make_position(
    position: str | PositionFactory, num_landmarks: int | None, channels: int, dim: int, norm: str
) -> nn.Module | None:
    """Build the position encoding of a step.

    Args:
        position: one of ``POSITIONS``; a function (channels) -> module; or a module, which all steps then share.
        num_landmarks: L, or None for any number.
        channels: size of the encoding.
        dim: coordinates of a position.
        norm: normalisation in its MLP (:class:`NodeMLP`).

    Returns:
        The module, or None for ``"none"``.

    Raises:
        ValueError: for an unknown name, or an encoding that needs to know the number of landmarks.

    Example:
        >>> make_position("learned", 68, 32, dim=2, norm="none")(torch.rand(4, 68, 2)).shape
        torch.Size([4, 68, 32])
    """
    if not isinstance(position, str):
        return position if isinstance(position, nn.Module) else position(channels)
    if position not in POSITIONS:
        raise ValueError(f"unknown position {position!r}; known: {', '.join(POSITIONS)}, a module or a function")
    if position == "none":
        return None
    if position == "pooled":
        return PooledPositionEncoder(channels, dim=dim, norm=norm)
    if num_landmarks is None:
        raise ValueError(f"position {position!r} needs num_landmarks; 'pooled' and 'none' do not")
    if position == "learned":
        return LearnedPosition(num_landmarks, channels)
    return RelativePositionEncoder(num_landmarks, channels, dim=dim, norm=norm)
