"""Edge lists on landmarks. Edges run from ``edge_index[0]`` (source j) to ``edge_index[1]`` (target i), as in PyG."""

from itertools import pairwise

import torch
from torch import Tensor

from pyspiga_geo.layouts import Layout


def complete_edges(num_nodes: int, device: torch.device | str | None = None) -> Tensor:
    """Edges of the complete graph on L nodes, without self-loops.

    Computed by arithmetic alone, so that it compiles, exports and runs on the device ``meta``.

    Args:
        num_nodes: L.
        device: of the result.

    Returns:
        [2, L (L - 1)], sorted by target.

    Raises:
        ValueError: if num_nodes is negative.

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
    """Edges between neighbours on the contours of a layout.

    Args:
        layout: whose contours to follow.

    Returns:
        [2, E], in both directions, each edge once, sorted by target.

    Example:
        >>> from pyspiga_geo.layouts import get_layout
        >>> contour_edges(get_layout("ibug68")).shape
        torch.Size([2, 126])
    """
    pairs = {
        pair
        for members in layout.contours.values()
        for first, second in pairwise(members)
        for pair in ((first, second), (second, first))
    }
    return torch.tensor(sorted(pairs, key=lambda pair: pair[::-1]), dtype=torch.long).reshape(-1, 2).T


def batch_edges(edge_index: Tensor, num_nodes: int, batch_size: int) -> Tensor:
    """Repeat the edges of one graph for each graph of a batch of B.

    Args:
        edge_index: [2, E], over the L nodes of one graph.
        num_nodes: L.
        batch_size: B.

    Returns:
        [2, B E], over the B L nodes of all graphs.

    Example:
        >>> batch_edges(torch.tensor([[0, 1], [1, 0]]), num_nodes=2, batch_size=3).tolist()
        [[0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4]]
    """
    offset = torch.arange(batch_size, device=edge_index.device).mul(num_nodes)
    return (edge_index[:, None, :] + offset[:, None]).reshape(2, -1)
