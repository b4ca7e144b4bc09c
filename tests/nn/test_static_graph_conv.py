"""Foreign convolutions on static graphs, masks and batches equal each graph alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data
from torch_geometric.nn import (
    APPNP,
    GATConv,
    GATv2Conv,
    GCNConv,
    GINEConv,
    GPSConv,
    GraphConv,
    SuperGATConv,
    TransformerConv,
)

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import CONVS, LandmarkAttention, StaticGraphConv, make_conv

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

B, L, C, D = 3, 5, 8, 2
EDGES = torch.tensor([[0, 1, 2, 4, 3, 3], [1, 0, 0, 2, 2, 4]])
LOOPS = torch.cat([torch.tensor([[1, 1, 4], [1, 1, 4]]), EDGES], dim=1)
MASK = torch.tensor([[1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 0, 1]], dtype=torch.bool)

OPERATORS: dict[str, Callable[[], nn.Module]] = {
    "gcn": lambda: GCNConv(C, 6),
    "graph": lambda: GraphConv(C, 6),
    "gat": lambda: GATConv(C, 3, heads=2),
    "supergat": lambda: SuperGATConv(C, 3, heads=2),
    "appnp": lambda: APPNP(2, 0.1),
    "gps": lambda: GPSConv(C, None, heads=2),
    "gps with gine": lambda: GPSConv(C, GINEConv(nn.Linear(C, C), edge_dim=D), heads=2),
    "attention": lambda: LandmarkAttention(C, 6, heads=2),
}


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("edges", [None, EDGES], ids=["complete", "sparse"])
@pytest.mark.parametrize("name", OPERATORS)
def test_static_graphs_are_each_graph_alone(name: str, edges: Tensor | None) -> None:
    conv, x = StaticGraphConv(OPERATORS[name]()).double().eval(), randn(B, L, C)
    listed = complete_edges(L) if edges is None else edges
    attr = {"edge_attr": randn(listed.size(1), D)} if "gine" in name else {}
    out = conv(x, edges, **attr)
    close(out, torch.stack([conv.conv(graph, listed, **attr) for graph in x]))
    close(out, torch.stack([conv(graph, edges, **attr) for graph in x]))
    batch = Batch.from_data_list([Data(x=graph, edge_index=listed, **attr) for graph in x])
    given = {"edge_attr": batch.edge_attr} if attr else {}
    close(conv(batch.x, batch.edge_index, batch=batch.batch, **given), out.flatten(0, 1))
    if edges is None and not attr:
        close(conv(batch.x, batch=batch.batch), out.flatten(0, 1))


@pytest.mark.parametrize("edges", [None, EDGES], ids=["complete", "sparse"])
@pytest.mark.parametrize("name", OPERATORS)
def test_masked_graphs_are_each_graph_without_what_is_missing(name: str, edges: Tensor | None) -> None:
    conv, x = StaticGraphConv(OPERATORS[name]()).double().eval(), randn(B, L, C)
    x[~MASK] = torch.nan
    listed = complete_edges(L) if edges is None else edges
    attr = randn(B, listed.size(1), D) if "gine" in name else None
    out = conv(x, edges, mask=MASK, edge_attr=attr)
    assert (out[~MASK] == 0).all()
    for item, present in enumerate(MASK):
        kept, number = present[listed].all(dim=0), present.cumsum(0) - 1
        some = {} if attr is None else {"edge_attr": attr[item, kept]}
        close(out[item, present], conv.conv(x[item, present], number[listed[:, kept]], **some))
        part = {} if attr is None else {"edge_attr": attr[item]}
        close(out[item], conv(x[item], edges, mask=present, **part))


def test_global_attention_stays_within_an_item() -> None:
    conv, x = StaticGraphConv(GPSConv(8, None, heads=2)).double().eval(), randn(4, L, 8)
    close(conv(x, EDGES)[:1], conv(x[:1], EDGES))
    sizes = torch.tensor([2, 3, 5])
    nodes, batch = randn(10, 8), torch.arange(3).repeat_interleave(sizes)
    close(conv(nodes, batch=batch), torch.cat([conv(each) for each in nodes.split(sizes.tolist())]))


@pytest.mark.parametrize("name", ["gat", "gatv2", "transformer"])
def test_attention_is_brought_into_matrices(name: str) -> None:
    conv, x = make_conv(name, heads=2, include_self=name != "transformer")(C, 6).double(), randn(B, L, C)
    for mask in (None, MASK):
        out, alpha = conv(x, EDGES, mask=mask, return_attention_weights=True)
        close(out, conv(x, EDGES, mask=mask))
        assert alpha.shape == (B, 2, L, L)
        for item in range(B):
            alone, (edges, each) = conv(
                x[item], EDGES, mask=None if mask is None else mask[item], return_attention_weights=True
            )
            close(alone, out[item])
            close(each.T, alpha[item][:, edges[1], edges[0]])
        total = alpha.sum(dim=-1)
        assert ((total - 1).abs() < 1e-10).logical_or(total == 0).all()


@pytest.mark.parametrize("name", ["none", "gcn", "sage", "gin"])
def test_operators_without_attention_say_so(name: str) -> None:
    with pytest.raises(ValueError, match="has no attention weights to return"):
        make_conv(name)(C, 6)(torch.rand(B, L, C), return_attention_weights=True)


# Edges.


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("name", CONVS)
def test_self_loops_mean_nothing_to_operators_with_a_name(name: str, include_self: bool) -> None:
    conv = make_conv(name, heads=2, include_self=include_self)(C, 6).double()
    for x in (randn(L, C), randn(B, L, C)):
        close(conv(x, LOOPS), conv(x, EDGES))


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr], ids=str)
@pytest.mark.parametrize("name", CONVS)
def test_sparse_matrices_equal_edges(name: str, layout: torch.layout) -> None:
    conv, x = make_conv(name, heads=2)(C, 6).double(), randn(B, L, C)
    values = torch.ones(EDGES.size(1))
    adj_t = torch.sparse_coo_tensor(EDGES.flip(0), values, (L, L), check_invariants=True).coalesce()
    adj_t = adj_t if layout == torch.sparse_coo else adj_t.to_sparse_csr()
    close(conv(x, adj_t), conv(x, EDGES))
    close(conv(x[0], adj_t), conv(x[0], EDGES))
    close(conv(x, EdgeIndex(EDGES)), conv(x, EDGES))


@pytest.mark.parametrize("name", ["gat", "gatv2", "transformer"])
def test_edge_features(name: str) -> None:
    conv, x = make_conv(name, heads=2, edge_dim=D)(C, 6).double(), randn(B, L, C)
    edge_attr = randn(B, LOOPS.size(1), D)
    out = conv(x, LOOPS, edge_attr=edge_attr)
    kept = LOOPS[0] != LOOPS[1]
    close(out, torch.stack([conv.conv(g, EDGES, a[kept]) for g, a in zip(x, edge_attr, strict=True)]))
    close(conv(x, LOOPS, edge_attr=edge_attr[0])[0], out[0])
    with pytest.raises(ValueError, match="edge_attr goes with edge_dim, which is 2"):
        conv(x, LOOPS)
    with pytest.raises(ValueError, match=r"edge_attr must be \[9, 2\] or \[3, 9, 2\]"):
        conv(x, LOOPS, edge_attr=edge_attr[..., :1])


def test_edge_weights() -> None:
    conv, x, weight = make_conv("gcn")(C, 6).double(), randn(B, L, C), randn(B, EDGES.size(1)).abs()
    out = conv(x, EDGES, edge_attr=weight)
    close(out, torch.stack([conv.conv(g, EDGES, w) for g, w in zip(x, weight, strict=True)]))
    close(conv(x, EDGES, edge_attr=weight[1])[1], out[1])


@pytest.mark.parametrize("name", ["sage", "gin", "gat", "transformer"])
def test_operators_that_take_no_edge_features_say_so(name: str) -> None:
    with pytest.raises(ValueError, match="takes no edge features, but edge_attr was given"):
        make_conv(name)(C, 6)(torch.rand(B, L, C), EDGES, edge_attr=torch.rand(EDGES.size(1), D))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (EDGES - 1, "edge_index must be in 0..4"),
        (EDGES + 1, "edge_index must be in 0..4"),
        (EDGES.float(), "edge_index must be int64"),
        (EDGES.T, r"edge_index must be \[2, E\]"),
    ],
)
@pytest.mark.parametrize("name", ["gcn", "gat", "attention"])
def test_edges_that_leave_the_graph(name: str, edges: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_conv(name)(C, 6)(torch.rand(B, L, C), edges)


def test_features_and_masks_of_a_wrong_shape() -> None:
    conv = make_conv("gcn")(C, 6)
    with pytest.raises(ValueError, match=r"x must be \[N, C\] or \[B, L, C\]"):
        conv(torch.rand(1, B, L, C))
    with pytest.raises(ValueError, match=r"mask must be \[3, 5\]"):
        conv(torch.rand(B, L, C), mask=MASK[0])
    with pytest.raises(ValueError, match="mask must be bool"):
        conv(torch.rand(B, L, C), mask=MASK.float())


# Factories.


@pytest.mark.parametrize("kind", [LandmarkAttention, StaticGraphConv])
def test_what_takes_static_graphs_is_not_wrapped(kind: type) -> None:
    def factory(in_channels: int, out_channels: int) -> nn.Module:
        conv = LandmarkAttention(in_channels, out_channels, heads=4)
        return conv if kind is LandmarkAttention else StaticGraphConv(conv)

    conv = make_conv(factory)(C, 8)
    assert type(conv) is kind
    out, alpha = conv(torch.rand(B, L, C), return_attention_weights=True)
    assert (out.shape, alpha.shape) == ((B, L, 8), (B, 4, L, L))


@pytest.mark.parametrize("name", ["gat", "transformer", "gatv2"])
def test_operator_s_own_attention_and_heads(name: str) -> None:
    kind = {"gat": GATConv, "transformer": TransformerConv, "gatv2": GATv2Conv}[name]
    conv = StaticGraphConv(kind(C, 3, heads=2)).double()
    out, alpha = conv(randn(B, L, C), return_attention_weights=True)
    assert (out.shape, alpha.shape) == ((B, L, 6), (B, 2, L, L))


@pytest.mark.parametrize("options", [{"heads": 0}, {"dropout": 1.5}, {"dropout": -1.0}], ids=str)
@pytest.mark.parametrize("name", CONVS)
def test_options_out_of_range(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make_conv(name, **options)
