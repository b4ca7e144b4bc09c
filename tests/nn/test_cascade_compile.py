"""Devices without values, compilers, export, and other precisions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyspiga_geo.nn import CONVS, POSITIONS, SPIGACascade

L, C = 5, 3
EDGES = torch.tensor([[0, 1, 2, 4, 3, 3], [1, 0, 0, 2, 2, 4]])
KINDS = [(conv, "ordered") for conv in CONVS] + [("attention", position) for position in POSITIONS[1:]]


def cascade(num_landmarks: int | None = L, **options: Any) -> SPIGACascade:
    small = {
        "num_steps": 1,
        "num_layers": 1,
        "heads": 2,
        "node_channels": 8,
        "hidden_channels": 32,
        "samples": 2,
    }
    return SPIGACascade(num_landmarks, C, **(small | options)).eval()


def inputs(batch: int = 2, height: int = 9, width: int = 8) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, L, 2), torch.rand(batch, C, height, width)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(("conv", "position"), KINDS)
def test_meta_device(conv: str, position: str) -> None:
    with torch.device("meta"):
        model = cascade(conv=conv, position=position, include_self=True, edge_dim=None, in_channels=2)
    assert all(parameter.is_meta for parameter in model.parameters())
    model.to_empty(device="cpu")


def test_shapes_on_the_meta_device() -> None:
    with torch.device("meta"):
        for conv in ("attention", "gat"):
            assert cascade(conv=conv)(*inputs()).pos.shape == (2, L, 2)
        out = cascade()(*inputs(), EDGES.to("meta"), return_attention=True)
        assert out.attention[0].shape == (2, 2, L, L)


MASK = torch.tensor([[1, 1, 1, 0, 1], [0, 1, 1, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, {"return_attention": True}),
        pytest.param({"conv": "gat", "position": "none"}, {}, marks=pytest.mark.slow),
        pytest.param({"position": "pooled", "num_layers": 0}, {}, marks=pytest.mark.slow),
        pytest.param({"conv": "gcn", "position": "learned"}, {}, marks=pytest.mark.slow),
        pytest.param({"conv": "transformer", "position": "none"}, {"return_attention": True}, marks=pytest.mark.slow),
        pytest.param({}, {"edge_index": EDGES}, marks=pytest.mark.slow),
        pytest.param({}, {"mask": MASK}, marks=pytest.mark.slow),
        pytest.param({"heatmap_windows": True}, {"heatmaps": torch.rand(2, L, 9, 8)}, marks=pytest.mark.slow),
    ],
    ids=range(8),
)
def test_compiles_in_one_piece(options: dict[str, Any], given: dict[str, Any]) -> None:
    model, (pos, maps) = cascade(**options), inputs()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(pos, maps, **given), model(pos, maps, **given))


@pytest.mark.slow
@pytest.mark.parametrize("conv", ["attention", "gat"])
def test_compiles_with_gradients(conv: str) -> None:
    model, (pos, maps) = cascade(conv=conv).train(), inputs()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    parameters = list(model.parameters())
    expected = torch.autograd.grad(model(pos, maps).pos.square().sum(), parameters)
    out = torch.autograd.grad(compiled(pos, maps).pos.square().sum(), parameters)
    torch.testing.assert_close(out, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "options"),
    [(2, {"position": "learned"}), (3, {}), (2, {"conv": "gat"}), (2, {"position": "pooled"})],
    ids=range(4),
)
def test_export_for_maps_of_any_size(dim: int, options: dict[str, Any], tmp_path: Path) -> None:
    model = cascade(dim=dim, heatmap_windows=True, **options)
    sizes = {axis + 2: torch.export.Dim(name, min=4, max=64) for axis, name in enumerate("dhw"[-dim:])}

    def arguments(batch: int, *space: int) -> tuple[Tensor, ...]:
        return torch.rand(batch, L, dim), torch.rand(batch, C, *space), torch.rand(batch, L, *space)

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cascade = model

        def forward(self, pos: Tensor, feature_map: Tensor, heatmaps: Tensor) -> Any:
            return self.cascade(pos, feature_map, heatmaps=heatmaps)

    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(
        Plain(),
        arguments(2, 9, 8, 7)[:1] + arguments(2, *(9, 8, 7)[:dim])[1:],
        dynamic_shapes=({0: batch}, {0: batch} | sizes, {0: batch} | sizes),
    )
    file = tmp_path / "cascade.pt2"
    torch.export.save(program, file)
    loaded = torch.export.load(file).module()
    for space in ((5, 12, 6), (30, 4, 17)):
        given = arguments(3, *space[:dim])
        out = loaded(*given)
        expected = model(*given[:2], heatmaps=given[2])
        torch.testing.assert_close(out.pos, expected.pos)
        assert type(out) is type(expected)


# Precision.


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize(("conv", "position"), KINDS)
def test_other_precisions(conv: str, position: str, dtype: torch.dtype) -> None:
    options = {"conv": conv, "position": position, "in_channels": 2, "heatmap_windows": True}
    model, (pos, maps) = cascade(num_steps=1, **options), inputs()
    x, heatmaps = torch.rand(2, L, 2), torch.rand(2, L, 9, 8)
    expected = model(pos, maps, EDGES, x=x, heatmaps=heatmaps)
    model.to(dtype)
    for each in ((maps, x, heatmaps), (maps.to(dtype), x.to(dtype), heatmaps.to(dtype))):
        out = model(pos, each[0], EDGES, x=each[1], heatmaps=each[2])
        assert out.pos.dtype == torch.float32
        torch.testing.assert_close(out.pos, expected.pos, rtol=0, atol=2e-3)
    assert model(pos.to(dtype), maps, x=x, heatmaps=heatmaps).pos.dtype == torch.promote_types(dtype, torch.float32)


@pytest.mark.parametrize("edge_dim", [None, 2])
@pytest.mark.parametrize("conv", ["attention", "gat", "transformer"])
def test_autocast_leaves_positions_precise(conv: str, edge_dim: int | None) -> None:
    model, (pos, maps) = cascade(conv=conv, edge_dim=edge_dim, window=0.1), inputs()
    mask = torch.rand(2, L) < 0.8
    attr = None if edge_dim is None else torch.rand(EDGES.size(1), 2)
    for train in (False, True):
        model.train(train)
        for given in ({}, {"mask": mask}):
            expected = model(pos, maps, EDGES, edge_attr=attr, return_attention=True, **given)
            with torch.autocast("cpu", torch.bfloat16):
                out = model(pos, maps, EDGES, edge_attr=attr, return_attention=True, **given)
            assert out.pos.dtype == torch.float32
            torch.testing.assert_close(out.pos, expected.pos, rtol=0, atol=2e-3)
            out.pos.sum().backward()


# What distributed training asks for.


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize(("conv", "position"), KINDS)
def test_every_trainable_parameter_gets_a_gradient(conv: str, position: str, include_self: bool) -> None:
    edge_dim = 2 if conv in ("attention", "gat", "gatv2", "transformer") else None
    attr = None if edge_dim is None else torch.rand(EDGES.size(1), edge_dim)
    options = {"include_self": include_self, "edge_dim": edge_dim, "in_channels": 2, "out_proj": True}
    model = cascade(conv=conv, position=position, **options).train()
    model(*inputs(), EDGES, x=torch.rand(2, L, 2), edge_attr=attr).pos.sum().backward()
    lacking = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert lacking == []
