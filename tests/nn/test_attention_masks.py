"""Nodes that do not exist, and nodes of many items."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import LandmarkAttention

B, L, M, C, D = 3, 6, 4, 5, 2

SPARSE = torch.tensor([[3, 0, 5, 1, 1, 2, 4, 0, 3, 5], [0, 5, 1, 2, 0, 3, 3, 4, 5, 2]])
BETWEEN = torch.tensor([[0, 5, 3, 1, 4, 2], [0, 1, 3, 2, 2, 1]])  # from L sources to M targets
PARALLEL = torch.cat([SPARSE, torch.tensor([[3, 5, 3], [0, 2, 0]])], dim=1)


def attention(**options: Any) -> LandmarkAttention:
    return LandmarkAttention(C, 6, heads=2, **options).double()


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def gradients(conv: nn.Module, out: Tensor, *inputs: Tensor) -> list[Tensor]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    return list(torch.autograd.grad((out * weight).sum(), [*inputs, *conv.parameters()]))


@pytest.mark.parametrize("edges", [None, SPARSE, PARALLEL], ids=["complete", "sparse", "parallel"])
@pytest.mark.parametrize("need", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("edge_dim", [None, D])
def test_masked_graphs_are_each_graph_alone(edges: Tensor | None, need: bool, edge_dim: int | None) -> None:
    conv = attention(out_proj=True, edge_dim=edge_dim)
    mask = torch.tensor([[1, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0]], dtype=torch.bool)
    x = randn(B, L, C)
    x[~mask] = torch.nan
    x.requires_grad_()
    pairs = complete_edges(L) if edges is None else edges
    attr = randn(B, L, L, D)
    attr[~(mask[:, None] & mask[:, :, None])] = torch.nan
    listed = attr[:, pairs[1], pairs[0]]
    given = None if edge_dim is None else attr if edges is None else listed
    out = conv(x, edges, edge_attr=given, mask=mask, return_attention_weights=need)
    if need:
        out, alpha = out
        assert (alpha[~(mask[:, None] & mask[:, :, None])[:, None].expand_as(alpha)] == 0).all()
    alone = torch.zeros(B, L, 6, dtype=torch.float64)
    for item, present in enumerate(mask):
        kept, number = present[pairs].all(dim=0), present.cumsum(0) - 1
        some = None if edge_dim is None else listed[item, kept]
        alone[item, present] = conv(x[item, present], number[pairs[:, kept]], edge_attr=some)
    close(out, alone)
    grads = gradients(conv, out, x)
    assert all(grad.isfinite().all() for grad in grads)
    close(grads, gradients(conv, alone, x))


@pytest.mark.parametrize("edges", [None, SPARSE], ids=["complete", "sparse"])
def test_a_mask_of_ones_changes_nothing(edges: Tensor | None) -> None:
    conv, x = attention(), randn(B, L, C)
    close(conv(x, edges, mask=torch.ones(B, L, dtype=torch.bool)), conv(x, edges))
    close(conv(x[0], edges, mask=torch.ones(L, dtype=torch.bool)), conv(x[0], edges))


@pytest.mark.parametrize(
    "edges", [None, torch.tensor([[0, 5, 3, 1, 4, 2], [0, 1, 3, 2, 2, 1]])], ids=["complete", "sparse"]
)
@pytest.mark.parametrize("which", ["sources", "targets", "both"])
def test_masks_of_two_sets_are_each_its_own(edges: Tensor | None, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x_src, x_dst = attention(), randn(B, L, C), randn(B, M, C)
    sources = torch.tensor([[1, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1]], dtype=torch.bool)
    targets = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=torch.bool)
    mask = (sources if which != "targets" else None, targets if which != "sources" else None)
    for pairs_per_edge in (48, 0):  # all pairs at once, and edge by edge
        monkeypatch.setattr("pyspiga_geo.nn.landmark_attention.DENSE_PAIRS_PER_EDGE", pairs_per_edge)
        out = conv((x_src, x_dst), edges, mask=mask)
        for item in range(B):
            alone = conv(
                (x_src[item], x_dst[item]), edges, mask=tuple(None if each is None else each[item] for each in mask)
            )
            close(out[item], alone)
            src = torch.arange(L) if mask[0] is None else sources[item].nonzero()[:, 0]
            dst = torch.arange(M) if mask[1] is None else targets[item].nonzero()[:, 0]
            pairs = torch.cartesian_prod(torch.arange(L), torch.arange(M)).T if edges is None else edges
            kept = torch.isin(pairs[0], src) & torch.isin(pairs[1], dst)
            within = torch.stack([torch.searchsorted(src, pairs[0, kept]), torch.searchsorted(dst, pairs[1, kept])])
            close(out[item, dst], conv((x_src[item, src], x_dst[item, dst]), within))
            rest = torch.ones(M, dtype=torch.bool).index_fill(0, dst, False)
            assert (out[item, rest] == 0).all()


# Nodes of many items.


def test_batch_without_edges_is_a_complete_graph_within_each_item() -> None:
    conv = attention(out_proj=True)
    sizes = [4, 1, 6]
    graphs = [randn(size, C) for size in sizes]
    batch = Batch.from_data_list([Data(x=graph) for graph in graphs])
    expected = torch.cat([conv(graph) for graph in graphs])
    close(conv(batch.x, batch=batch.batch), expected)
    out, alpha = conv(batch.x, batch=batch.batch, return_attention_weights=True)
    close(out, expected)
    assert alpha.shape == (3, 2, 6, 6)
    mask = torch.rand(11) < 0.6
    alone = [conv(graph, mask=here) for graph, here in zip(graphs, mask.split(sizes), strict=True)]
    close(conv(batch.x, batch=batch.batch, mask=mask), torch.cat(alone))


@pytest.mark.parametrize("shape", [(0,), (0, L), (B, 0)], ids=str)
def test_no_nodes(shape: tuple[int, ...]) -> None:
    conv = attention()
    assert conv(randn(*shape, C)).shape == (*shape, 6)
    assert conv(randn(*shape, C), torch.zeros(2, 0, dtype=torch.long)).shape == (*shape, 6)
    if len(shape) == 1:
        assert conv(randn(0, C), batch=torch.zeros(0, dtype=torch.long)).shape == (0, 6)
