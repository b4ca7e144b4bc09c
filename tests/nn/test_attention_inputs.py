"""Pairs of sets, edge features, masks and batches: all paths of the attention agree, and with the definition."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import LandmarkAttention, StaticGraphConv

B, L, M, C, D = 3, 6, 4, 5, 2

SPARSE = torch.tensor([[3, 0, 5, 1, 1, 2, 4, 0, 3, 5], [0, 5, 1, 2, 0, 3, 3, 4, 5, 2]])
PARALLEL = torch.cat([SPARSE, torch.tensor([[3, 5, 3], [0, 2, 0]])], dim=1)
LOOPS = torch.cat([torch.tensor([[1, 4, 4], [1, 4, 4]]), SPARSE], dim=1)
BIPARTITE = torch.tensor([[0, 5, 2, 2, 4], [1, 1, 0, 2, 2]])  # from L sources to M targets; none to 3


def attention(**options: Any) -> LandmarkAttention:
    return LandmarkAttention(C, 6, heads=2, **options).double()


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def gradients(conv: nn.Module, out: Tensor, *inputs: Tensor) -> list[Tensor]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    return list(torch.autograd.grad((out * weight).sum(), [*inputs, *conv.parameters()]))


def by_definition(
    conv: LandmarkAttention, source: Tensor, target: Tensor, edges: Tensor, edge_attr: Tensor | None = None
) -> Tensor:
    """softmax over the edges that arrive, target by target."""
    query, key, value = conv.lin_query(target), conv.lin_key(source), conv.lin_value(source)
    bias = randn(edges.size(1), 2).zero_() if edge_attr is None else conv.lin_edge(edge_attr)
    rows = []
    for i in range(len(target)):
        here = (edges[1] == i).nonzero().squeeze(1)
        j = edges[0, here]
        heads = []
        for head, part in enumerate(torch.arange(6).view(2, 3)):
            similarity = key[j][:, part] @ query[i, part] * conv.scale + bias[here, head]
            heads.append(similarity.softmax(dim=0) @ value[j][:, part])
        rows.append(torch.cat(heads))
    out = torch.stack(rows)
    return out if conv.lin_out is None else conv.lin_out(out)


# Two sets.


@pytest.mark.parametrize("options", [{}, {"include_self": True}, {"scale": True, "out_proj": True}], ids=str)
def test_two_sets_attend_as_defined(options: dict[str, bool]) -> None:
    conv = LandmarkAttention((C, C + 1), 6, heads=2, **options).double()
    source, target = randn(B, L, C), randn(B, M, C + 1)
    everything = torch.cartesian_prod(torch.arange(L), torch.arange(M)).T
    for edges in (everything, BIPARTITE):
        expected = torch.stack([by_definition(conv, *each, edges) for each in zip(source, target, strict=True)])
        alone = torch.stack([conv(each, edges) for each in zip(source, target, strict=True)])
        close(alone, expected)
        close(conv((source, target), edges), expected)
        out, alpha = conv((source, target), edges, return_attention_weights=True)
        close(out, expected)
        assert alpha.shape == (B, 2, M, L)
    close(conv((source, target)), conv((source, target), everything))
    close(conv((source[0], target[0])), conv((source, target), everything)[0])


def test_two_sets_of_one_size_have_no_self_loops_to_leave_out() -> None:
    conv, x, y = attention(), randn(B, L, C), randn(B, L, C)
    changed = x.clone()
    changed[:, 2] += 1
    assert not torch.allclose(conv((changed, y))[:, 2], conv((x, y))[:, 2])


def test_masks_and_batches_of_two_sets() -> None:
    conv = attention()
    sizes, others = torch.tensor([3, 5, 1]), torch.tensor([2, 1, 4])
    source, target = randn(9, C), randn(7, C)
    batch = torch.arange(3).repeat_interleave(sizes), torch.arange(3).repeat_interleave(others)
    there, here = torch.rand(9) < 0.7, torch.rand(7) < 0.7
    alone = [
        conv((source[batch[0] == item], target[batch[1] == item]), mask=(there[batch[0] == item], None))
        for item in range(3)
    ]
    close(conv((source, target), batch=batch, mask=(there, None)), torch.cat(alone))
    both = torch.cat(alone).masked_fill(~here[:, None], 0)
    close(conv((source, target), batch=batch, mask=(there, here)), both)


# Edge features.


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("edges", [SPARSE, PARALLEL, LOOPS], ids=["sparse", "parallel", "self-loops"])
def test_edge_features_on_all_paths(edges: Tensor, include_self: bool) -> None:
    conv, x = attention(include_self=include_self, edge_dim=D), randn(B, L, C).requires_grad_()
    edge_attr = randn(B, edges.size(1), D).requires_grad_()
    kept = edges[0] != edges[1]
    own, none = torch.arange(L).expand(2, -1), torch.zeros(0, dtype=torch.long)
    full = torch.cat([edges[:, kept], own if include_self else own[:, none]], dim=1)
    zero = torch.zeros(L if include_self else 0, D, dtype=torch.float64)
    expected = torch.stack(
        [
            by_definition(conv, each, each, full, torch.cat([attr[kept], zero]))
            for each, attr in zip(x, edge_attr, strict=True)
        ]
    )
    batch = Batch.from_data_list(
        [Data(x=each, edge_index=edges, edge_attr=attr) for each, attr in zip(x, edge_attr, strict=True)]
    )
    outs = {
        "dense": conv(x, edges, edge_attr=edge_attr),
        "weights": conv(x, edges, edge_attr=edge_attr, return_attention_weights=True)[0],
        "edges": conv(batch.x, batch.edge_index, edge_attr=batch.edge_attr).view(B, L, -1),
        "foreign": StaticGraphConv(conv)(x, edges, edge_attr=edge_attr),
    }
    grads = gradients(conv, expected, x, edge_attr)
    for out in outs.values():
        close(out, expected)
        close(gradients(conv, out, x, edge_attr), grads)
    shared = edge_attr[0].detach()
    close(conv(x, edges, edge_attr=shared), conv(x, edges, edge_attr=shared.expand(B, -1, -1)))
    assert not torch.allclose(outs["dense"], conv(x, edges, edge_attr=edge_attr + randn(D) * edge_attr))


@pytest.mark.parametrize("include_self", [False, True])
def test_edge_features_of_the_complete_graph(include_self: bool) -> None:
    conv, x = attention(include_self=include_self, edge_dim=D), randn(B, L, C)
    matrix, edges = randn(B, L, L, D), complete_edges(L)
    listed = matrix[:, edges[1], edges[0]]  # row: target
    expected = conv(x, edges, edge_attr=listed)
    close(conv(x, edge_attr=matrix), expected)
    close(conv(x, edge_attr=matrix, return_attention_weights=True)[0], expected)
    close(conv(x, edge_attr=matrix[0])[0], expected[0])
    close(conv(x[0], edge_attr=matrix[0]), expected[0])


# Few edges.


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_large_graph_of_few_edges_goes_by_them(
    include_self: bool, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = attention(include_self=include_self, edge_dim=D)
    size = 160
    line = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
    x, attr = randn(2, size, C).requires_grad_(), randn(size - 1, D).requires_grad_()
    mask = torch.rand(2, size) < 0.8 if masked else None
    propagated: list[object] = []
    handle = conv.register_propagate_forward_pre_hook(lambda *args: propagated.append(args))
    out, alpha = conv(x, line, edge_attr=attr, mask=mask, return_attention_weights=True)
    assert propagated
    handle.remove()
    monkeypatch.setattr("pyspiga_geo.nn.landmark_attention.DENSE_PAIRS_PER_EDGE", 1e9)
    dense, dense_alpha = conv(x, line, edge_attr=attr, mask=mask, return_attention_weights=True)
    close((out, alpha), (dense, dense_alpha))
    close(gradients(conv, out, x, attr), gradients(conv, dense, x, attr))


def test_few_edges_between_two_sets() -> None:
    conv = attention()
    source, target = randn(2, 170, C), randn(2, 160, C)
    edges = torch.stack([torch.arange(160) + 10, torch.arange(160)])
    alone = torch.stack([conv(each, edges) for each in zip(source, target, strict=True)])
    close(conv((source, target), edges), alone)


# Training.


@pytest.mark.parametrize("edges", [None, SPARSE], ids=["complete", "sparse"])
@pytest.mark.parametrize("shape", [(L,), (B, L)])
@pytest.mark.parametrize("need", [False, True], ids=["", "weights"])
def test_dropout_drops_in_training_only(shape: tuple[int, ...], edges: Tensor | None, need: bool) -> None:
    conv, x = attention(dropout=0.5), randn(*shape, C)
    plain = attention()
    plain.load_state_dict(conv.state_dict())

    def out(module: nn.Module) -> Tensor:
        result = module(x, edges, return_attention_weights=need)
        return result[0] if need else result

    close(out(conv.eval()), out(plain))
    assert not torch.allclose(out(conv.train()), out(plain))


def test_gradient_of_a_gradient() -> None:
    conv, x = attention(), randn(1, L, C).requires_grad_()
    for edges in (None, SPARSE):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            out = conv(x, edges)
        (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum(), x)
        listed = conv(x[0], complete_edges(L) if edges is None else edges)
        (grad,) = torch.autograd.grad(listed.square().sum(), x, create_graph=True)
        close(second, torch.autograd.grad(grad.square().sum(), x)[0])


def test_edge_index_of_pyg() -> None:
    conv, x = attention(), randn(B, L, C)
    edges = EdgeIndex(SPARSE, sparse_size=(L, L))
    close(conv(x, edges), conv(x, SPARSE))
    close(conv(x[0], edges), conv(x[0], SPARSE))


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edge_index": SPARSE - 1}, "edge_index must be in 0..5"),
        ({"edge_index": SPARSE + 1}, "edge_index must be in 0..5"),
        ({"edge_index": SPARSE.float()}, "edge_index must be int64, got float32"),
        ({"edge_index": SPARSE.int()}, "edge_index must be int64, got int32"),
        ({"edge_index": SPARSE.T}, r"edge_index must be \[2, E\], got \[10, 2\]"),
        ({"edge_index": SPARSE.tolist()}, "edge_index must be int64 .* got list"),
        ({"edge_attr": randn(L, L, D)}, "edge_attr goes with edge_dim, which is None"),
        ({"mask": torch.ones(B, L)}, "mask must be bool, got float32"),
        ({"mask": torch.ones(L, dtype=torch.bool)}, r"mask must be \[3, 6\]"),
        ({"batch": torch.zeros(B, dtype=torch.long)}, r"x must be \[N, 5\]"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention()(randn(B, L, C), **arguments)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([0, 1, 0, 1, 1, 1], "batch must be sorted"),
        ([-1, 0, 0, 1, 1, 1], "batch must be sorted"),
        ([0, 0, 1], r"batch must be \[6\]"),
        ([0.0] * 6, "batch must be int64"),
    ],
    ids=str,
)
def test_batches_that_do_not_fit(batch: list[int], message: str) -> None:
    for conv in (attention(), StaticGraphConv(attention())):
        with pytest.raises(ValueError, match=message):
            conv(randn(L, C), batch=torch.tensor(batch))


@pytest.mark.parametrize("shape", [(L, L, D + 1), (B + 1, L, L, D), (SPARSE.size(1), D)], ids=str)
def test_edge_features_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    conv = attention(edge_dim=D)
    with pytest.raises(ValueError, match=r"edge_attr must be \[6, 6, 2\] or \[3, 6, 6, 2\]"):
        conv(randn(B, L, C), edge_attr=randn(*shape))
    with pytest.raises(ValueError, match=r"edge_attr must be \[10, 2\] or \[3, 10, 2\]"):
        conv(randn(B, L, C), SPARSE, edge_attr=randn(B, 9, D))
    with pytest.raises(ValueError, match="edge_attr goes with edge_dim, which is 2"):
        conv(randn(B, L, C))


def test_sets_that_do_not_belong_together() -> None:
    with pytest.raises(ValueError, match="x_src and x_dst must be of one batch"):
        attention()((randn(B, L, C), randn(B + 1, L, C)))
    with pytest.raises(ValueError, match="x_src and x_dst must be of one batch"):
        attention()((randn(B, L, C), randn(L, C)))


@pytest.mark.parametrize(
    "options", [{"heads": 0}, {"heads": 4}, {"heads": -1}, {"dropout": 1.5}, {"dropout": -0.1}], ids=str
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        LandmarkAttention(C, 6, **options)
