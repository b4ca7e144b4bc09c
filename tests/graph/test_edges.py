from itertools import pairwise

import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import contains_self_loops, is_undirected

from pyspiga_geo.graph import batch_edges, complete_edges, contour_edges
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout


def test_complete_edges() -> None:
    edges = complete_edges(7)
    assert edges.shape == (2, 42)
    assert edges.dtype == torch.long
    assert not contains_self_loops(edges)
    assert len(set(map(tuple, edges.T.tolist()))) == 42  # each once
    assert edges[1].tolist() == sorted(edges[1].tolist())  # by target
    assert edges[0, :6].tolist() == [1, 2, 3, 4, 5, 6]


def test_complete_edges_of_one_node() -> None:
    assert complete_edges(1).shape == (2, 0)


def test_contour_edges_by_hand() -> None:
    # An open line, and a triangle closed by a second contour that repeats the edge 0 - 1.
    layout = Layout("own", range(4), range(4), {"line": [0, 1, 2], "back": [2, 0, 1]})
    assert contour_edges(layout).tolist() == [[1, 2, 0, 2, 0, 1], [0, 0, 1, 1, 2, 2]]


def test_contour_edges_of_faces() -> None:
    for layout in (IBUG68, WFLW98):
        edges = contour_edges(layout)
        assert is_undirected(edges)
        assert not contains_self_loops(edges)
        pairs = set(map(tuple, edges.T.tolist()))
        assert len(pairs) == edges.size(1)  # each once
        neighbours = {pair for rows in layout.contours.values() for pair in pairwise(rows)}
        assert pairs == neighbours | {(b, a) for a, b in neighbours}
    assert not (contour_edges(WFLW98) >= 96).any()  # the pupils lie on no contour


def test_layout_without_contours_has_no_edges() -> None:
    edges = contour_edges(Layout("points", [0, 1], [0, 1], {}))
    assert edges.shape == (2, 0)
    assert edges.dtype == torch.long


def test_batch_edges_are_those_of_a_pyg_batch() -> None:
    edges = torch.tensor([[0, 1, 3, 3], [1, 2, 0, 3]])
    batch = Batch.from_data_list([Data(edge_index=edges, num_nodes=4) for _ in range(3)])
    assert torch.equal(batch_edges(edges, num_nodes=4, batch_size=3), batch.edge_index)
    assert torch.equal(batch_edges(edges, num_nodes=4, batch_size=1), edges)
    assert batch_edges(edges[:, :0], num_nodes=4, batch_size=3).shape == (2, 0)
