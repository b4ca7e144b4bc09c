"""All ways of giving the attention the same graph agree, in the outputs and in the gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import LandmarkAttention

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

B, L, C = 3, 6, 5

# Every node has a neighbour; edges are not symmetric and in no order.
SPARSE = torch.tensor([[3, 0, 5, 1, 1, 2, 4, 0, 3, 5], [0, 5, 1, 2, 0, 3, 3, 4, 5, 2]])
# The self-loops at 1 and 4 must not matter: `include_self` decides.
LOOPS = torch.cat([torch.tensor([[1, 4], [1, 4]]), SPARSE], dim=1)
# The edge 3 -> 0 is there three times, 5 -> 2 twice.
PARALLEL = torch.cat([SPARSE, torch.tensor([[3, 5, 3], [0, 2, 0]])], dim=1)
GRAPHS = {"complete": complete_edges(L), "sparse": SPARSE, "self-loops": LOOPS}


def attention(include_self: bool = False, **options: Any) -> LandmarkAttention:
    options = {"out_channels": 4} | options
    return LandmarkAttention(C, include_self=include_self, **options).double()


def features() -> Tensor:
    return torch.randn(B, L, C, dtype=torch.float64)


# The same graph for each of B items, by every way the operator can be called.


def adjacency(edges: Tensor, layout: torch.layout) -> Tensor:
    """PyG's ``adj_t``: rows are targets."""
    ones = torch.ones(edges.size(1))
    adj_t = torch.sparse_coo_tensor(edges.flip(0), ones, (L, L), check_invariants=True).coalesce()
    return adj_t if layout == torch.sparse_coo else adj_t.to_sparse(layout=layout)


def by_edge_list(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return torch.stack([conv(graph, edges) for graph in x])


def by_static_graph(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return conv(x, edges)


def by_static_graph_with_weights(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return conv(x, edges, return_attention_weights=True)[0]


def by_batch(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    batch = Batch.from_data_list([Data(x=graph, edge_index=edges) for graph in x])
    return conv(batch.x, batch.edge_index).unflatten(0, (len(x), -1))


def by_adj_t_edges(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    adj_t = adjacency(edges, torch.sparse_csr)
    return torch.stack([conv(graph, adj_t) for graph in x])


def by_adj_t_static(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return conv(x, adjacency(edges, torch.sparse_coo))


def by_complete_graph(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return conv(x)


def by_complete_graph_with_weights(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return conv(x, return_attention_weights=True)[0]


def by_complete_graph_one_by_one(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    return torch.stack([conv(graph) for graph in x])


Path = Callable[[LandmarkAttention, Tensor, Tensor], Tensor]

PATHS: list[Path] = [
    by_static_graph,
    by_static_graph_with_weights,
    by_batch,
    by_adj_t_edges,
    by_adj_t_static,
]
COMPLETE_PATHS: list[Path] = [
    by_complete_graph,
    by_complete_graph_with_weights,
    by_complete_graph_one_by_one,
]


def assert_paths_agree(conv: LandmarkAttention, x: Tensor, edges: Tensor, first: Path, second: Path) -> None:
    """Outputs and the gradients of x and of every parameter are equal to 1e-10."""
    weight = torch.randn(*x.shape[:-1], conv.out_channels, dtype=torch.float64)
    inputs = [x.requires_grad_(), *conv.parameters()]
    (out, grads), (other_out, other_grads) = (
        (out, torch.autograd.grad((out * weight).sum(), inputs))
        for out in (path(conv, x, edges) for path in (first, second))
    )
    torch.testing.assert_close(out, other_out, rtol=0, atol=1e-10)
    names = ["x", *(name for name, _ in conv.named_parameters())]
    for name, grad, other in zip(names, grads, other_grads, strict=True):
        torch.testing.assert_close(grad, other, rtol=0, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")
        assert name == "lin_key.bias" or grad.abs().max() > 1e-3, name  # a softmax does not see that bias


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("include_self", [False, True])
def test_paths_agree_with_the_edge_list(path: Path, graph: str, include_self: bool) -> None:
    conv = attention(include_self, out_channels=6, heads=2)
    assert_paths_agree(conv, features(), GRAPHS[graph], by_edge_list, path)


@pytest.mark.parametrize("path", COMPLETE_PATHS)
@pytest.mark.parametrize("include_self", [False, True])
def test_complete_graph_agrees_with_its_edge_list(path: Path, include_self: bool) -> None:
    conv = attention(include_self, out_channels=6, heads=2)
    assert_paths_agree(conv, features(), complete_edges(L), by_edge_list, path)


@pytest.mark.parametrize("path", [by_static_graph, by_static_graph_with_weights, by_complete_graph, by_batch])
def test_paths_agree_with_every_option(path: Path, options: dict[str, Any]) -> None:
    conv = attention(**options)
    assert_paths_agree(conv, features(), complete_edges(L), by_edge_list, path)


@pytest.mark.parametrize("path", [by_static_graph, by_static_graph_with_weights, by_batch])
@pytest.mark.parametrize("include_self", [False, True])
def test_paths_agree_with_parallel_edges(path: Path, include_self: bool) -> None:
    conv = attention(include_self, out_channels=6, heads=2)
    x = features()
    assert_paths_agree(conv, x, PARALLEL, by_edge_list, path)
    assert not torch.allclose(conv(x, PARALLEL), conv(x, SPARSE))  # each of them counts
