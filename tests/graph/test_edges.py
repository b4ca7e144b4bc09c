from itertools import pairwise

import pytest
import torch
from torch import Tensor
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


@pytest.mark.parametrize("nodes", range(6))
def test_complete_edges_are_the_adjacency_matrix_without_its_diagonal(nodes: int) -> None:
    target, source = (~torch.eye(nodes, dtype=torch.bool)).nonzero(as_tuple=True)
    assert complete_edges(nodes).equal(torch.stack([source, target]))


def test_fewer_than_no_nodes() -> None:
    with pytest.raises(ValueError, match="num_nodes must not be negative, got -1"):
        complete_edges(-1)


def edges_of_a_batch(x: Tensor) -> Tensor:
    batch, nodes = x.shape
    return batch_edges(complete_edges(nodes, x.device), nodes, batch)


def test_edges_without_values() -> None:
    edges = edges_of_a_batch(torch.zeros(3, 5, device="meta"))
    assert edges.is_meta
    assert edges.shape == (2, 3 * 20)


@pytest.mark.slow
def test_edges_compile_and_export_for_any_size() -> None:
    class Edges(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return edges_of_a_batch(x)

    compiled = torch.compile(edges_of_a_batch, fullgraph=True, dynamic=True, backend="eager")
    sizes = {0: torch.export.Dim("B"), 1: torch.export.Dim("L")}
    exported = torch.export.export(Edges(), (torch.zeros(2, 7),), dynamic_shapes=(sizes,)).module()
    for shape in ((2, 7), (3, 5), (1, 68)):
        x = torch.zeros(shape)
        assert compiled(x).equal(edges_of_a_batch(x))
        assert exported(x).equal(edges_of_a_batch(x))


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
