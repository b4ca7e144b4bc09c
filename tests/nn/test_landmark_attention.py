"""The attention as it is defined, what it must hold, and the module itself."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import LandmarkAttention, make_conv

B, L, C = 3, 6, 5

# Heads of two channels, the scaled product and the node itself, as the authors have them.
REFERENCE: dict[str, Any] = {"out_channels": 8, "heads": 4, "include_self": True, "scale": True, "out_proj": True}

# Every node has a neighbour; edges are not symmetric and in no order.
SPARSE = torch.tensor([[3, 0, 5, 1, 1, 2, 4, 0, 3, 5], [0, 5, 1, 2, 0, 3, 3, 4, 5, 2]])
# The edge 3 -> 0 is there three times, 5 -> 2 twice.
PARALLEL = torch.cat([SPARSE, torch.tensor([[3, 5, 3], [0, 2, 0]])], dim=1)
# Nothing arrives at 1 and 5.
ISOLATED = torch.tensor([[0, 1, 2, 5, 4], [2, 2, 0, 3, 4]])


def attention(include_self: bool = False, **options: Any) -> LandmarkAttention:
    options = {"out_channels": 4} | options
    return LandmarkAttention(C, include_self=include_self, **options).double()


def features(*shape: int) -> Tensor:
    return torch.randn(*(shape or (B, L)), C, dtype=torch.float64)


def each_alone(conv: LandmarkAttention, x: Tensor, edges: Tensor) -> Tensor:
    """By the list of edges, graph by graph."""
    return torch.stack([conv(graph, edges) for graph in x])


# The definition, by loops.


def by_loops(conv: LandmarkAttention, x: Tensor, sources: list[list[int]]) -> Tensor:
    """softmax_j(q_i . k_j) v_j summed over the sources of each node of one graph, head by head."""
    query, key, value = conv.lin_query(x), conv.lin_key(x), conv.lin_value(x)
    size = conv.out_channels // conv.heads
    messages = torch.zeros_like(value)
    for head in range(conv.heads):
        part = slice(head * size, (head + 1) * size)
        for i, neighbours in enumerate(sources):
            weights = [torch.exp(torch.dot(query[i, part], key[j, part]) * conv.scale) for j in neighbours]
            for weight, j in zip(weights, neighbours, strict=True):
                messages[i, part] += weight / sum(weights) * value[j, part]
    return messages


def test_definition_of_the_paper() -> None:
    conv, x = attention(), features()
    assert conv.heads == 1
    assert conv.scale == 1
    others = [[j for j in range(L) if j != i] for i in range(L)]
    expected = torch.stack([by_loops(conv, graph, others) for graph in x])
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(each_alone(conv, x, complete_edges(L)), expected, rtol=0, atol=1e-10)


def test_definition_of_the_reference() -> None:
    conv, x = attention(**REFERENCE), features()
    assert conv.scale == 2**-0.5  # heads of two channels
    everybody = [list(range(L)) for _ in range(L)]
    expected = torch.stack([conv.lin_out(by_loops(conv, graph, everybody)) for graph in x])
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-10)


def test_definition_on_any_graph() -> None:
    # Edges run from edge_index[0] to edge_index[1]; parallel edges count as often as they are there.
    conv, x = attention(heads=2), features()
    sources = [[int(j) for j, i in PARALLEL.T if i == node] for node in range(L)]
    expected = torch.stack([by_loops(conv, graph, sources) for graph in x])
    torch.testing.assert_close(each_alone(conv, x, PARALLEL), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(conv(x, PARALLEL), expected, rtol=0, atol=1e-10)


def test_own_features_are_in_the_message_only_on_request() -> None:
    # With equal keys all weights are equal, and with the identity as value the message is a mean of features.
    for include_self in (False, True):
        conv = attention(include_self, out_channels=C)
        torch.nn.init.zeros_(conv.lin_key.weight)
        conv.lin_value.load_state_dict({"weight": torch.eye(C), "bias": torch.zeros(C)})
        x = features()
        total = x.sum(dim=1, keepdim=True)
        expected = total.expand_as(x) / L if include_self else (total - x) / (L - 1)
        torch.testing.assert_close(conv(x), expected)


def test_large_similarities_do_not_overflow() -> None:
    conv, x = attention(out_channels=8, heads=2), features() * 1e3
    for out in (conv(x), conv(x, SPARSE), conv(x[0], SPARSE), conv(x, return_attention_weights=True)[0]):
        assert out.isfinite().all()


# Nodes that nobody talks to.


@pytest.mark.parametrize("return_weights", [False, True])
@pytest.mark.parametrize("shape", [(L,), (B, L)])
def test_nodes_without_neighbours_get_no_message(shape: tuple[int, ...], return_weights: bool) -> None:
    conv, x = attention(heads=2), features(*shape).requires_grad_()
    out = conv(x, ISOLATED, return_attention_weights=return_weights)
    out = out[0] if return_weights else out
    isolated = [1, 4, 5]  # 4 has only itself
    assert (out[..., isolated, :] == 0).all()
    assert (out[..., [0, 2, 3], :] != 0).any(dim=-1).all()
    out.square().sum().backward()
    for name, value in [("x", x), *conv.named_parameters()]:
        assert value.grad.isfinite().all(), name


@pytest.mark.parametrize("return_weights", [False, True])
@pytest.mark.parametrize("edges", [None, complete_edges(1)], ids=["complete", "no edges"])
@pytest.mark.parametrize("shape", [(1,), (B, 1)])
def test_a_single_node(shape: tuple[int, ...], edges: Tensor | None, return_weights: bool) -> None:
    conv, x = attention(heads=2), features(*shape).requires_grad_()
    out = conv(x, edges, return_attention_weights=return_weights)
    out = out[0] if return_weights else out
    assert out.shape == (*shape, 4)
    assert (out == 0).all()
    out.square().sum().backward()
    for name, value in [("x", x), *conv.named_parameters()]:
        assert value.grad.isfinite().all(), name


def test_a_single_node_that_attends_to_itself() -> None:
    conv, x = attention(include_self=True, heads=2), features(B, 1)
    torch.testing.assert_close(conv(x), conv.lin_value(x))


# Properties.


@pytest.mark.parametrize("include_self", [False, True])
def test_order_of_the_nodes_does_not_matter(include_self: bool) -> None:
    conv, x = attention(include_self, heads=2), features()
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    new_number = order.argsort()
    out, alpha = conv(x, return_attention_weights=True)
    moved, moved_alpha = conv(x[:, order], return_attention_weights=True)
    torch.testing.assert_close(moved, out[:, order], rtol=0, atol=1e-10)
    torch.testing.assert_close(moved_alpha, alpha[:, :, order][..., order], rtol=0, atol=1e-10)
    torch.testing.assert_close(conv(x[:, order]), out[:, order], rtol=0, atol=1e-10)
    for each in (x, x[0]):  # with the edges renumbered
        moved = conv(each[..., order, :], new_number[SPARSE])
        torch.testing.assert_close(moved, conv(each, SPARSE)[..., order, :], rtol=0, atol=1e-10)


def test_items_of_a_batch_do_not_see_each_other() -> None:
    conv, x = attention(heads=2), features()
    changed = x.clone()
    changed[1] += 1
    for edges in (None, SPARSE):
        before, after = conv(x, edges), conv(changed, edges)
        torch.testing.assert_close(after[[0, 2]], before[[0, 2]], rtol=0, atol=1e-12)
        assert not torch.allclose(after[1], before[1])


@pytest.mark.parametrize(
    ("shape", "edges"),
    [
        ((2, 3), None),
        ((2, 3), torch.tensor([[0, 2, 1], [1, 1, 0]])),
        ((3,), torch.tensor([[0, 2, 1], [1, 1, 0]])),
    ],
    ids=["complete", "static", "edge list"],
)
@pytest.mark.parametrize("include_self", [False, True])
def test_gradcheck(shape: tuple[int, ...], edges: Tensor | None, include_self: bool) -> None:
    conv = LandmarkAttention(2, 2, heads=2, include_self=include_self, scale=True, out_proj=True).double()
    x = torch.randn(*shape, 2, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in conv.named_parameters()]

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(conv, dict(zip(names, values, strict=True)), (x, edges))

    assert torch.autograd.gradcheck(run, (x, *conv.parameters()))


# Compilers.


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_complete_graph_compiles_in_one_piece(backend: str) -> None:
    torch._dynamo.reset()
    conv = LandmarkAttention(8, 8, heads=2)
    compiled = torch.compile(conv, fullgraph=True, backend=backend)
    x = torch.randn(2, 5, 8, requires_grad=True)
    inputs = [x, *conv.parameters()]
    out, expected = compiled(x), conv(x)
    torch.testing.assert_close(out, expected)
    for grad, other in zip(*(torch.autograd.grad(o.square().sum(), inputs) for o in (out, expected)), strict=True):
        torch.testing.assert_close(grad, other)


# The module itself.


def test_repr() -> None:
    assert repr(LandmarkAttention(8, 16)) == "LandmarkAttention(8, 16, heads=1)"
    assert repr(LandmarkAttention(512, 256, heads=4)) == "LandmarkAttention(512, 256, heads=4)"


def test_forward_leaves_nothing_on_the_module() -> None:
    conv, x = attention(**REFERENCE), features()

    def state() -> list[dict[str, Any]]:
        modules = list(conv.modules())
        return [{k: dict(v) if isinstance(v, dict) else v for k, v in vars(m).items()} for m in modules]

    before, weights = state(), {name: value.clone() for name, value in conv.state_dict().items()}
    for edges in (None, SPARSE):
        for each in (x, x[0]):
            for return_weights in (False, True):
                conv(each, edges, return_attention_weights=return_weights)
    for then, now in zip(before, state(), strict=True):
        assert then.keys() == now.keys()
        for key in then:
            if isinstance(then[key], dict):
                assert then[key].keys() == now[key].keys()
                assert all(then[key][name] is now[key][name] for name in then[key]), key
            else:
                assert then[key] is now[key], key
    assert all(torch.equal(weights[name], value) for name, value in conv.state_dict().items())


def test_reset_parameters_draws_all_anew() -> None:
    conv = attention(out_proj=True)
    before = {name: value.clone() for name, value in conv.named_parameters()}
    assert {name.split(".")[0] for name in before} == {"lin_query", "lin_key", "lin_value", "lin_out"}
    conv.reset_parameters()
    assert all(not torch.equal(before[name], value) for name, value in conv.named_parameters())


@pytest.mark.parametrize("option", [{"flow": "target_to_source"}, {"aggr": "mean"}], ids=str)
def test_options_that_not_all_paths_have_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        LandmarkAttention(C, 4, **option)


@pytest.mark.parametrize("dropout", [-0.1, 1, 1.5])
def test_dropout_that_keeps_nothing_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match="dropout must be 0 or more and less than 1"):
        LandmarkAttention(4, 4, dropout=dropout)


def test_a_node_is_no_neighbour_of_itself_unless_asked() -> None:
    conv, x = LandmarkAttention(C, 4).double(), features()
    torch.testing.assert_close(conv(x), conv(x, complete_edges(L)))
    _, alpha = conv(x, return_attention_weights=True)
    assert (alpha.diagonal(dim1=-2, dim2=-1) == 0).all()


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match=r"out_channels \(6\) must be divisible by heads \(4\)"):
        LandmarkAttention(4, 6, heads=4)


@pytest.mark.parametrize("shape", [(C,), (B, L, C + 1), (L, C - 1), (1, B, L, C)])
def test_features_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must be \[N, 5\] or \[B, L, 5\]"):
        attention()(torch.zeros(shape, dtype=torch.float64))


def test_arguments_by_position_and_edge_features_per_item_are_refused() -> None:
    attention = LandmarkAttention(8, 8, edge_dim=2)
    x, edges, features = torch.rand(5, 8), torch.tensor([[0, 1], [1, 2]]), torch.rand(2, 2)
    with pytest.raises(TypeError, match="forward takes 2 arguments by position; give the others by keyword: edge_attr"):
        attention(x, edges, features)
    with pytest.raises(ValueError, match="edge_attr must be"):
        attention(x, edges, edge_attr=features.expand(5, 2, 2))  # as many as nodes, but these are no items


def test_it_is_an_operator_for_batches_of_one_graph() -> None:
    """A cascade gives it [B, L, C] as it is; what does not say so is called with one large graph."""
    assert isinstance(make_conv(LandmarkAttention)(8, 8), LandmarkAttention)


@pytest.mark.parametrize(
    ("nodes", "edges", "path"),
    [(156, 512, "_attend"), (157, 512, "_propagate"), (165, 600, "_attend"), (170, 600, "_propagate")],
)
def test_batches_of_a_large_sparse_graph_go_by_its_edges(nodes: int, edges: int, path: str, monkeypatch) -> None:
    """From 48 pairs per edge on, of at least 512 edges; below that a matrix is faster."""
    taken = []
    for name in ("_attend", "_propagate"):
        run = getattr(LandmarkAttention, name)
        monkeypatch.setattr(LandmarkAttention, name, lambda *given, n=name, run=run: taken.append(n) or run(*given))
    attention(include_self=True)(torch.rand(2, nodes, C).double(), torch.randint(nodes, (2, edges)))
    assert taken == [path]
