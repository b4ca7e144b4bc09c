"""Edge lists on landmarks. Edges run from ``edge_index[0]`` (source j) to ``edge_index[1]`` (target i), as in PyG."""

from itertools import pairwise

import torch
from torch import Tensor

from pyspiga_geo.layouts import Layout


def complete_edges(num_nodes: int, device: torch.device | str | None = None) -> Tensor:
    """Edges of the complete graph [2, L (L - 1)] without self-loops, sorted by target.

    Computed by arithmetic alone: that compiles, exports and runs on the device ``meta``.

    Raises:
        ValueError: for fewer than no nodes.

    Example:
        >>> complete_edges(3).tolist()
        [[1, 2, 0, 2, 0, 1], [0, 0, 1, 1, 2, 2]]
    """
    if num_nodes < 0:
        raise ValueError(f"num_nodes must not be negative, got {num_nodes}")
    edges = torch.arange(num_nodes * (num_nodes - 1), device=device)
    # Places in the adjacency matrix, row by row: every L places one of the diagonal is passed over.
    places = edges + edges // num_nodes + 1
    return torch.stack([places % num_nodes, places // num_nodes])


def contour_edges(layout: Layout) -> Tensor:
    """Edges [2, E] between neighbours on the contours of a layout, both ways, each once."""
    pairs = {
        pair
        for members in layout.contours.values()
        for first, second in pairwise(members)
        for pair in ((first, second), (second, first))
    }
    return torch.tensor(sorted(pairs, key=lambda pair: pair[::-1]), dtype=torch.long).reshape(-1, 2).T


def batch_edges(edge_index: Tensor, num_nodes: int, batch_size: int) -> Tensor:
    """Repeat the edges [2, E] of one graph for each graph of a batch: [2, B E] over B L nodes."""
    offset = torch.arange(batch_size, device=edge_index.device).mul(num_nodes)
    return (edge_index[:, None, :] + offset[:, None]).reshape(2, -1)
