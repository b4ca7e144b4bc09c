"""The weights of the attention: as matrices, as a list of edges, and under an explainer."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import LandmarkAttention

B, L, C = 3, 6, 5

# Every node has a neighbour; edges are not symmetric and in no order.
SPARSE = torch.tensor([[3, 0, 5, 1, 1, 2, 4, 0, 3, 5], [0, 5, 1, 2, 0, 3, 3, 4, 5, 2]])
# The self-loops at 1 and 4 must not matter: `include_self` decides.
LOOPS = torch.cat([torch.tensor([[1, 4], [1, 4]]), SPARSE], dim=1)
# Nothing arrives at 1 and 5.
ISOLATED = torch.tensor([[0, 1, 2, 5, 4], [2, 2, 0, 3, 4]])

GRAPHS = {"complete": complete_edges(L), "sparse": SPARSE, "self-loops": LOOPS}


def attention(include_self: bool = False, **options: Any) -> LandmarkAttention:
    options = {"out_channels": 4} | options
    return LandmarkAttention(C, include_self=include_self, **options).double()


def features(*shape: int) -> Tensor:
    return torch.randn(*(shape or (B, L)), C, dtype=torch.float64)


# Attention weights.


@pytest.mark.parametrize("edges", [None, SPARSE], ids=["complete", "sparse"])
@pytest.mark.parametrize("shape", [(L,), (B, L)])
def test_asking_for_weights_changes_no_message(
    shape: tuple[int, ...], edges: Tensor | None, options: dict[str, Any]
) -> None:
    conv, x = attention(**options), features(*shape)
    out, _ = conv(x, edges, return_attention_weights=True)
    torch.testing.assert_close(out, conv(x, edges), rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(L,), (B, L)])
@pytest.mark.parametrize("include_self", [False, True])
def test_weights_of_the_complete_graph(shape: tuple[int, ...], include_self: bool) -> None:
    conv, x = attention(include_self, heads=2), features(*shape)
    out, alpha = conv(x, return_attention_weights=True)
    assert alpha.shape == (*shape[:-1], 2, L, L)
    torch.testing.assert_close(alpha.sum(dim=-1), torch.ones_like(alpha[..., 0]))
    diagonal = alpha.diagonal(dim1=-2, dim2=-1)
    assert (diagonal > 0).all() if include_self else (diagonal == 0).all()
    # The weights are the ones that made the message.
    value = conv.lin_value(x).unflatten(-1, (2, -1))
    torch.testing.assert_close(torch.einsum("...hij,...jhd->...ihd", alpha, value).flatten(-2), out)


def test_weights_of_a_static_graph_stand_only_on_its_edges() -> None:
    conv, x = attention(heads=2), features()
    _, alpha = conv(x, SPARSE, return_attention_weights=True)
    assert alpha.shape == (B, 2, L, L)
    is_edge = torch.zeros(L, L, dtype=torch.bool)
    is_edge[SPARSE[1], SPARSE[0]] = True  # row: target, column: source
    assert ((alpha > 0) == is_edge).all()
    torch.testing.assert_close(alpha.sum(dim=-1), torch.ones(B, 2, L, dtype=torch.float64))


@pytest.mark.parametrize("include_self", [False, True])
def test_weights_of_an_edge_list(include_self: bool) -> None:
    conv, x = attention(include_self, heads=2), features()
    _, dense = conv(x, LOOPS, return_attention_weights=True)
    for graph, expected in zip(x, dense, strict=True):
        _, (edges, alpha) = conv(graph, LOOPS, return_attention_weights=True)
        count = SPARSE.size(1) + (L if include_self else 0)  # self-loops all or none, whatever was given
        assert edges.shape == (2, count)
        assert alpha.shape == (count, 2)
        assert (edges[0] == edges[1]).sum() == (L if include_self else 0)
        total = torch.zeros(L, 2, dtype=torch.float64).index_add(0, edges[1], alpha)
        torch.testing.assert_close(total, torch.ones_like(total))
        torch.testing.assert_close(alpha.T, expected[:, edges[1], edges[0]], rtol=0, atol=1e-10)


def test_weights_of_lonely_nodes_are_zero() -> None:
    _, alpha = attention(heads=2)(features(), ISOLATED, return_attention_weights=True)
    assert (alpha[:, :, [1, 4, 5]] == 0).all()
    torch.testing.assert_close(alpha[:, :, [0, 2, 3]].sum(dim=-1), torch.ones(B, 2, 3, dtype=torch.float64))


# Explanations.


def explainer(conv: LandmarkAttention) -> Explainer:
    return Explainer(
        conv,
        GNNExplainer(epochs=2),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_explainer_gives_each_edge_a_value(graph: str, include_self: bool) -> None:
    conv, x, edges = (
        LandmarkAttention(C, 4, heads=2, include_self=include_self),
        torch.randn(L, C),
        GRAPHS[graph],
    )
    before = conv(x, edges)
    relevant = edges[0] != edges[1]  # whether a self-loop counts is not for the graph to say
    if not relevant.all() and not include_self:
        with pytest.raises(ValueError, match="include_self where there are self-loops"):
            explainer(conv)(x, edges)
        return
    explanation = explainer(conv)(x, edges)
    assert explanation.edge_mask.shape == (edges.size(1),)
    assert (explanation.edge_mask[relevant] > 0).all()
    torch.testing.assert_close(conv(x, edges), before)  # and it leaves nothing behind


def test_explainer_refuses_what_it_has_no_mask_for() -> None:
    conv = attention(heads=2)
    set_masks(conv, torch.ones(SPARSE.size(1), dtype=torch.float64), SPARSE, apply_sigmoid=False)
    with pytest.raises(ValueError, match="an explanation needs"):
        conv(features(B, L), SPARSE)


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("shape", [(L,), (1, L)], ids=["edge list", "static graph"])
def test_masked_edges_carry_no_message(shape: tuple[int, ...], include_self: bool) -> None:
    conv, x = attention(include_self, heads=2), features(*shape)
    source, target = SPARSE[:, 2]
    alpha = conv(x.reshape(-1, L, C), SPARSE, return_attention_weights=True)[1][..., target, source]  # [B, heads]
    lost = alpha[..., None] * conv.lin_value(x)[..., source, :].reshape(-1, 2, 2)
    expected = conv(x, SPARSE).clone()
    expected[..., target, :] -= lost.reshape(*shape[:-1], 4)

    mask = torch.ones(SPARSE.size(1), dtype=torch.float64)
    mask[2] = 0
    set_masks(conv, mask, SPARSE, apply_sigmoid=False)
    explained = conv(x, SPARSE)
    clear_masks(conv)
    torch.testing.assert_close(explained, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(conv(x, SPARSE)[..., source, :], expected[..., source, :])  # as it was
