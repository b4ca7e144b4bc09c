"""What a cascade refuses, and what it says."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from pyspiga_geo.nn import (
    GraphBlock,
    LandmarkAttention,
    SPIGACascade,
    StaticGraphConv,
    VisualWindow,
    make_conv,
)

B, L, C = 3, 5, 3
EDGES = torch.tensor([[0, 1, 2, 4, 3, 3], [1, 0, 0, 2, 2, 4]])
SMALL = {"num_steps": 2, "num_layers": 1, "heads": 2, "node_channels": 8, "hidden_channels": 8, "samples": 2}


def cascade(num_landmarks: int | None = L, channels: Any = C, **options: Any) -> SPIGACascade:
    return SPIGACascade(num_landmarks, channels, **(SMALL | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": -1}, "num_steps must be 0 or more, got -1"),
        ({"num_layers": -1}, "num_layers must be 0 or more, got -1"),
        ({"in_channels": -1}, "in_channels must be 0 or more, got -1"),
        ({"node_channels": 0}, "node_channels must be 1 or more, got 0"),
        ({"hidden_channels": -8}, "hidden_channels must be 1 or more, got -8"),
        ({"window": -1.0}, "window must be positive"),
        ({"window": float("nan")}, "window must be positive"),
        ({"window": float("inf")}, "window must be positive"),
        ({"window": [0.5, 0.0]}, "window must be positive"),
        ({"window": [0.5]}, "window must be one or 2, one per step, got 1"),
        ({"conv": ["gat"] * 3}, "conv must be one or 2, one per step, got 3"),
        ({"samples": 0}, "samples must be 1 or more, got 0"),
        ({"samples": 0, "heatmap_windows": True}, "samples must be 1 or more, got 0"),
        ({"dim": 4}, "dim must be 2 or 3, got 4"),
        ({"dropout": 1.5}, "dropout must be 0 or more and less than 1, got 1.5"),
        ({"heads": 0}, "heads must be 1 or more, got 0"),
        ({"heads": 3}, r"out_channels \(8\) must be divisible by heads \(3\)"),
        ({"norm": "group"}, "unknown norm 'group'; known: batch_norm, layer_norm, none"),
        ({"norm": "group", "position": "none"}, "unknown norm 'group'"),
        ({"position": "absolute"}, "unknown position 'absolute'; known: ordered, learned, pooled, none"),
        ({"conv": "gnc"}, "unknown conv 'gnc'"),
        ({"conv": GATConv(8, 8)}, "unknown conv GATConv.* or a function"),
        ({"share_steps": True, "conv": ["gat", "gcn"]}, "share_steps needs the same conv"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cascade(**options)


def test_feature_channels_of_the_wrong_number() -> None:
    with pytest.raises(ValueError, match="feature_channels must be one or 2, one per step, got 3"):
        cascade(channels=[3, 3, 3])
    with pytest.raises(ValueError, match="share_steps needs the same conv and the same feature_channels"):
        cascade(channels=[3, 4], share_steps=True)


@pytest.mark.parametrize("position", ["ordered", "learned"])
def test_positions_that_must_know_how_many(position: str) -> None:
    with pytest.raises(ValueError, match=f"position '{position}' needs num_landmarks"):
        cascade(None, position=position)


def given(**changed: Any) -> dict[str, Any]:
    return {"pos": torch.rand(B, L, 2), "feature_map": torch.rand(B, C, 8, 8)} | changed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature_map": [torch.rand(B, C, 8, 8)]}, "feature_map must be one or 2, one per step, got 1"),
        (
            {"feature_map": [torch.rand(B, C, 8, 8), torch.rand(B, C + 1, 8, 8)]},
            r"feature_map\[1\] must be \[3, 3, H, W\]",
        ),
        (
            {"feature_map": [torch.rand(B, C, 8, 8), torch.rand(B + 1, C, 8, 8)]},
            r"feature_map\[1\] must be \[3, 3, H, W\]",
        ),
        ({"x": torch.rand(B, L, 4)}, "x goes with in_channels, which is 0"),
        ({"edge_attr": torch.rand(L, L, 2)}, "edge_attr goes with edge_dim, which is None"),
        ({"mask": torch.ones(B, L)}, "mask must be bool, got float32"),
        ({"mask": torch.ones(B, L + 1, dtype=torch.bool)}, r"mask must be \[3, 5\]"),
        ({"mask": torch.ones(B * L, dtype=torch.bool)}, r"mask must be \[3, 5\]"),
        ({"edge_index": EDGES - 1}, "edge_index must be in 0..4"),
        ({"edge_index": EDGES + 1}, "edge_index must be in 0..4"),
        ({"edge_index": EDGES.float()}, "edge_index must be int64, got float32"),
        ({"edge_index": EDGES.T}, r"edge_index must be \[2, E\], got \[6, 2\]"),
        ({"batch": torch.zeros(B, dtype=torch.long)}, r"pos must be \[N, 2\]"),
        ({"pos": torch.rand(B, L, 3)}, r"pos must be \[3, 5, 2\] or \[15, 2\] or \[1, 5, 2\]"),
        (
            {"pos": torch.rand(B * L, 2), "edge_index": EDGES},
            r"a graph that all items share goes with pos \[B, L, d\]",
        ),
    ],
    ids=range(15),
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    for conv in ("attention", "gat"):
        if "edge_attr" in arguments and conv == "gat":
            message = "GATConv takes no edge features"
        with pytest.raises(ValueError, match=message):
            cascade(conv=conv)(**given(**arguments))


def test_node_features_of_a_wrong_shape() -> None:
    model = cascade(in_channels=4)
    with pytest.raises(ValueError, match="x goes with in_channels, which is 4"):
        model(**given())
    with pytest.raises(ValueError, match=r"x must be \[3, 5, 4\]"):
        model(**given(x=torch.rand(B, L, 3)))
    with pytest.raises(ValueError, match=r"x must be \[15, 4\]"):
        model(**given(pos=torch.rand(B * L, 2), x=torch.rand(B, L, 4)))


def test_edge_features_of_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match="edge_attr goes with edge_dim, which is 2"):
        cascade(edge_dim=2)(**given())
    with pytest.raises(ValueError, match=r"edge_attr must be \[5, 5, 2\] or \[3, 5, 5, 2\]"):
        cascade(edge_dim=2)(**given(edge_attr=torch.rand(L, L, 3)))
    with pytest.raises(ValueError, match=r"edge_attr must be \[6, 2\] or \[3, 6, 2\]"):
        cascade(edge_dim=2)(**given(edge_index=EDGES, edge_attr=torch.rand(7, 2)))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([0, 0, 1, 0, 1, 2], "batch must be sorted"),
        ([0, 0, 1, 1, 2, 3], "batch must be in 0..2, one of 3 items, got 3"),
        ([-1, 0, 1, 1, 2, 2], "batch must be sorted"),
        ([0, 1, 2], r"batch must be \[6\], got \[3\]"),
    ],
    ids=str,
)
def test_batches_that_do_not_fit(batch: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cascade(None, position="pooled")(**given(pos=torch.rand(6, 2), batch=torch.tensor(batch)))


def test_graphs_of_different_sizes_need_a_cascade_for_any_number() -> None:
    pos, batch = torch.rand(6, 2), torch.tensor([0, 0, 1, 1, 1, 2])
    with pytest.raises(ValueError, match=r"each item must have 5 landmarks, got \[2, 3, 1\]; .*num_landmarks=None"):
        cascade()(**given(pos=pos, batch=batch))
    with pytest.raises(ValueError, match=r"pos \[N, 2\] of 3 items of different sizes needs batch \[N\]"):
        cascade(None, position="none")(**given(pos=torch.rand(7, 2)))


def test_heads_that_multiply_the_channels() -> None:
    model = cascade(conv=lambda i, o: GATConv(i, o, heads=2))
    with pytest.raises(
        ValueError, match=r"GATConv must return messages of 8 channels, got 16: .* out_channels / heads"
    ):
        model(**given())


# Old ways.


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: SPIGACascade(L, C, 3, 4, 4, "attention", 0.25), "window"),
        (lambda: cascade()(*given().values(), None, None, True), "return_attention"),
        (lambda: LandmarkAttention(4, 4, 1, True), "include_self"),
        (lambda: LandmarkAttention(4, 4)(torch.rand(L, 4), None, True), "return_attention_weights"),
        (lambda: make_conv("gcn", 4), "heads"),
        (lambda: StaticGraphConv(GATConv(4, 4))(torch.rand(L, 4), None, True), "return_attention_weights"),
        (lambda: GraphBlock(4, 4, "gcn", "none", 4), "norm"),
        (lambda: VisualWindow(4, 4, 7, 3), "dim"),
    ],
    ids=range(8),
)
def test_what_was_given_by_position_is_named(call: Any, names: str) -> None:
    with pytest.raises(TypeError, match=names if names not in ("norm", "dim") else "positional"):
        call()


def test_the_message_names_all_keywords() -> None:
    with pytest.raises(TypeError) as caught:
        LandmarkAttention(4, 4, 1, False, True)
    assert str(caught.value) == (
        "LandmarkAttention takes 3 arguments by position; give the others by keyword: include_self, scale, out_proj, "
        "edge_dim, dropout"
    )


# Batch norm.


def test_a_single_node_needs_another_norm_than_batch_norm() -> None:
    maps, pos = torch.rand(1, C, 8, 8), torch.rand(1, 1, 2)
    for norm in ("layer_norm", "none"):
        model = cascade(None, position="pooled", norm=norm).train()
        out = model(pos, maps).pos
        out.sum().backward()
        assert out.isfinite().all()
    model = cascade(None, position="none").train()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        model(pos, maps)
    assert model.eval()(pos, maps).pos.isfinite().all()


def norms(model: nn.Module) -> set[str]:
    return {type(module).__name__ for module in model.modules() if "Norm" in type(module).__name__}


def test_norms_by_name() -> None:
    assert norms(cascade(norm="layer_norm")) == {"LayerNorm"}
    assert norms(cascade(norm="none")) == set()
    assert norms(cascade()) == {"BatchNorm", "BatchNorm1d"}


def test_layer_norm_is_over_the_channels_of_each_node() -> None:
    model, arguments = cascade(norm="layer_norm").double(), given()
    pos, maps = (value.double() for value in arguments.values())
    out: Tensor = model.train()(pos, maps).pos
    torch.testing.assert_close(out[:1], model(pos[:1], maps[:1]).pos, rtol=0, atol=1e-10)
