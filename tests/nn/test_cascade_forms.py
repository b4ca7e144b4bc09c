"""The forms in which a cascade takes landmarks, graphs, maps and masks: each equals the plain one."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GPSConv

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import CONVS, POSITIONS, LandmarkAttention, SPIGACascade

B, L, C, D, X = 3, 5, 3, 2, 4
EDGES = torch.tensor([[0, 1, 2, 4, 3, 3], [1, 0, 0, 2, 2, 4]])
SIZES = [3, 5, 2]


def cascade(num_landmarks: int | None = L, channels: Any = C, **options: Any) -> SPIGACascade:
    small = {
        "num_steps": 2,
        "num_layers": 2,
        "heads": 2,
        "node_channels": 8,
        "hidden_channels": 32,  # narrower, and the ReLUs of the decoder may all be shut
        "samples": 2,
    }
    model = SPIGACascade(num_landmarks, channels, **(small | options)).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):  # as if trained
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64)


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def gps(channels: int, _: int) -> nn.Module:
    return GPSConv(channels, None, heads=2, norm=None)


@pytest.mark.parametrize("edges", [None, EDGES], ids=["complete", "sparse"])
@pytest.mark.parametrize("conv", [*CONVS, gps])
def test_all_forms_of_one_batch(conv: Any, edges: Tensor | None) -> None:
    model, pos, maps = cascade(conv=conv, num_steps=1), rand(B, L, 2), rand(B, C, 9, 8)
    expected = model(pos, maps, edges)
    alone = [model(p[None], m[None], edges) for p, m in zip(pos, maps, strict=True)]
    close(expected.pos, torch.cat([each.pos for each in alone]))
    close(expected.x, torch.cat([each.x for each in alone]))
    batch = Batch.from_data_list(
        [Data(pos=each, edge_index=complete_edges(L) if edges is None else edges) for each in pos]
    )
    for out in (
        model(batch.pos, maps, batch.edge_index),
        model(batch.pos, maps, batch.edge_index, batch=batch.batch),
        *([model(batch.pos, maps), model(batch.pos, maps, batch=batch.batch)] if edges is None else []),
    ):
        close(out.pos, expected.pos.flatten(0, 1))
        close(out.x, expected.x.flatten(0, 1))
        close(torch.stack(out.steps), torch.stack(expected.steps).flatten(1, 2))


@pytest.mark.parametrize("position", POSITIONS)
def test_all_forms_with_every_position(position: str) -> None:
    model, pos, maps = cascade(position=position), rand(B, L, 2), rand(B, C, 9, 8)
    mask = torch.rand(B, L) < 0.7
    for edges in (complete_edges(L), EDGES):
        expected = model(pos, maps, edges, mask=mask).pos
        batch = Batch.from_data_list([Data(pos=each, edge_index=edges) for each in pos])
        close(model(batch.pos, maps, batch.edge_index, mask=mask.flatten()).pos, expected.flatten(0, 1))
    expected = model(pos, maps, mask=mask).pos.flatten(0, 1)
    close(model(batch.pos, maps, mask=mask.flatten()).pos, expected)
    close(model(batch.pos, maps, batch=batch.batch, mask=mask.flatten()).pos, expected)


def test_one_start_for_all() -> None:
    model, pos, maps = cascade(in_channels=X), rand(1, L, 2), rand(B, C, 9, 8)
    x, mask = rand(B, L, X), torch.rand(B, L) < 0.8
    expected = model(pos.expand(B, -1, -1), maps, x=x, mask=mask)
    out = model(pos, maps, x=x, mask=mask)
    close((out.pos, out.x), (expected.pos, expected.x))
    one = model(pos, maps, x=x[:1], mask=mask[:1]).pos
    close(one, model(pos.expand(B, -1, -1), maps, x=x[:1].expand(B, -1, -1), mask=mask[:1].expand(B, -1)).pos)


@pytest.mark.parametrize("with_edges", [False, True])
@pytest.mark.parametrize("position", ["pooled", "none"])
@pytest.mark.parametrize("conv", ["attention", "gat", gps])
def test_graphs_of_different_sizes(conv: Any, position: str, with_edges: bool) -> None:
    model, maps = cascade(None, conv=conv, position=position), rand(3, C, 9, 8)
    graphs = [Data(pos=rand(size, 2), edge_index=torch.randint(size, (2, 2 * size))) for size in SIZES]
    batch = Batch.from_data_list(graphs)
    edges = batch.edge_index if with_edges else None
    out = model(batch.pos, maps, edges, batch=batch.batch)
    alone = [
        model(each.pos[None], maps[item, None], each.edge_index if with_edges else None)
        for item, each in enumerate(graphs)
    ]
    close(out.pos, torch.cat([each.pos[0] for each in alone]))
    close(out.x, torch.cat([each.x[0] for each in alone]))
    assert out.pos.shape == (10, 2)


# Maps and steps.


def test_a_list_of_equal_maps_is_one_map() -> None:
    model, pos, maps = cascade(num_steps=3), rand(B, L, 2), rand(B, C, 9, 8)
    close(model(pos, [maps] * 3).pos, model(pos, maps).pos)


def test_each_step_has_its_own_map_operator_and_window() -> None:
    model = cascade(channels=[2, 4], conv=["gat", "attention"], window=[0.5, 0.1])
    pos, maps = rand(B, L, 2), [rand(B, 2, 4, 4), rand(B, 4, 9, 8)]
    out = model(pos, maps)
    first, second = model.steps
    middle = pos + first(pos, maps[0], 0.5).move
    close(out.steps[0], middle)
    close(out.pos, middle + second(middle, maps[1], 0.1).move)
    assert isinstance(second.blocks[0].conv, LandmarkAttention)
    assert not isinstance(first.blocks[0].conv, LandmarkAttention)


def test_shared_steps_are_one_step_called_again() -> None:
    model, pos, maps = cascade(num_steps=3, share_steps=True), rand(B, L, 2), rand(B, C, 9, 8)
    (step,) = model.steps
    reached, expected = pos, []
    for window in (0.25, 0.125, 0.0625):
        reached = reached + step(reached, maps, window).move
        expected.append(reached)
    close(model(pos, maps).steps, expected)


def test_no_gradient_between_detached_steps() -> None:
    model, pos, maps = cascade(), rand(B, L, 2).requires_grad_(), rand(B, C, 9, 8)
    close(model(pos, maps, detach_steps=True).pos, model(pos, maps).pos)
    out = model(pos, maps, detach_steps=True)
    out.pos.sum().backward()
    assert pos.grad is None
    assert all(parameter.grad is None for parameter in model.steps[0].parameters())
    assert all(parameter.grad is not None for parameter in model.steps[1].decoder.parameters())


def test_no_steps() -> None:
    pos = rand(B * L, 2)
    out = cascade(num_steps=0)(pos, rand(B, C, 4, 4), return_attention=True)
    assert torch.equal(out.pos, pos)
    assert (out.steps, out.attention, out.x) == ([], [], None)


# Volumes.


@pytest.mark.parametrize("heatmap_windows", [False, True])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_volume_of_depth_one_is_a_map(position: str, heatmap_windows: bool) -> None:
    options = {"position": position, "heatmap_windows": heatmap_windows, "samples": 3}
    flat, deep = cascade(**options), cascade(**options, dim=3)
    weights, target = flat.state_dict(), deep.state_dict()
    for name, value in weights.items():
        new = torch.zeros_like(target[name])
        if ".visual.lin.weight" in name:
            new.unflatten(1, (C, -1, 9))[:] = (value.unflatten(1, (C, 1, 9)) / 3).expand(-1, -1, 3, -1)
        elif ".relative.mlp.mlp.lins.0.weight" in name:
            new.unflatten(1, (-1, 3))[..., :2] = value.unflatten(1, (-1, 2))
        elif name.endswith("decoder.mlp.lins.4.weight") or name.endswith("decoder.mlp.lins.4.bias"):
            new[:2] = value
        elif ".own.lin.weight" in name:
            inside, share = value.chunk(2, dim=1)  # the density within is spread over five samples
            new[:] = torch.cat([inside.repeat(1, 5), share.repeat(1, 5) / 5], dim=1)
        else:
            new = value
        target[name] = new
    deep.load_state_dict(target)
    pos, maps = rand(B, L, 3), rand(B, C, 9, 8)
    heatmaps = rand(B, L, 9, 8) if heatmap_windows else None
    expected = flat(pos[..., :2], maps, heatmaps=heatmaps).pos
    out = deep(pos, maps[:, :, None], heatmaps=None if heatmaps is None else heatmaps[:, :, None]).pos
    close(out[..., :2], expected)
    close(out[..., 2], pos[..., 2])


def test_volumes_in_all_forms() -> None:
    model, pos, maps = cascade(dim=3, edge_dim=D), rand(B, L, 3), rand(B, C, 3, 4, 5)
    attr = rand(B, EDGES.size(1), D)
    expected = model(pos, maps, EDGES, edge_attr=attr).pos
    assert not torch.allclose(expected[..., 2], pos[..., 2])
    batch = Batch.from_data_list([Data(pos=p, edge_index=EDGES, edge_attr=a) for p, a in zip(pos, attr, strict=True)])
    close(model(batch.pos, maps, batch.edge_index, edge_attr=batch.edge_attr).pos, expected.flatten(0, 1))


# Order.


@pytest.mark.parametrize("position", ["pooled", "none"])
@pytest.mark.parametrize("num_landmarks", [L, None])
def test_order_of_the_landmarks_does_not_matter(position: str, num_landmarks: int | None) -> None:
    model = cascade(num_landmarks, position=position, in_channels=X)
    pos, x, maps, order = rand(B, L, 2), rand(B, L, X), rand(B, C, 9, 8), torch.tensor([3, 1, 4, 0, 2])
    number = order.argsort()
    close(model(pos[:, order], maps, x=x[:, order]).pos, model(pos, maps, x=x).pos[:, order])
    close(
        model(pos[:, order], maps, number[EDGES], x=x[:, order]).pos,
        model(pos, maps, EDGES, x=x).pos[:, order],
    )


def test_order_matters_to_the_other_positions() -> None:
    pos, maps = rand(B, L, 2), rand(B, C, 9, 8)
    for position in ("ordered", "learned"):
        model = cascade(position=position)
        assert not torch.allclose(model(pos.flip(1), maps).pos, model(pos, maps).pos.flip(1))


# Edges.


@pytest.mark.parametrize("position", ["ordered", "pooled"])
@pytest.mark.parametrize("conv", ["attention", "gat"])
def test_edges_in_every_form(conv: str, position: str) -> None:
    model, pos, maps = cascade(conv=conv, position=position), rand(B, L, 2), rand(B, C, 9, 8)
    adj_t = torch.sparse_coo_tensor(EDGES.flip(0), torch.ones(6), (L, L), check_invariants=True).coalesce()
    expected = model(pos, maps, EDGES).pos
    close(model(pos, maps, adj_t).pos, expected)
    close(model(pos, maps, EdgeIndex(EDGES)).pos, expected)
    loops = torch.cat([torch.tensor([[0, 3], [0, 3]]), EDGES], dim=1)
    close(model(pos, maps, loops).pos, expected)


@pytest.mark.parametrize("conv", ["attention", "gat", "transformer"])
def test_edge_features_through_the_cascade(conv: str) -> None:
    model, pos, maps = cascade(conv=conv, edge_dim=D), rand(B, L, 2), rand(B, C, 9, 8)
    attr = rand(B, EDGES.size(1), D)
    expected = model(pos, maps, EDGES, edge_attr=attr)
    batch = Batch.from_data_list([Data(pos=p, edge_index=EDGES, edge_attr=a) for p, a in zip(pos, attr, strict=True)])
    out = model(batch.pos, maps, batch.edge_index, edge_attr=batch.edge_attr, return_attention=True)
    close(out.pos, expected.pos.flatten(0, 1))
    edges, alpha = out.attention[0]
    assert (edges.shape, alpha.shape) == ((2, B * EDGES.size(1)), (B * EDGES.size(1), 2))
    other = model(pos, maps, EDGES, edge_attr=attr.flip(1))
    assert (other.x - expected.x).abs().max() > 1e-5


def test_dropout_is_for_training() -> None:
    model, plain = cascade(dropout=0.5, norm="none"), cascade(norm="none")
    plain.load_state_dict(model.state_dict())
    pos, maps = rand(B, L, 2), rand(B, C, 9, 8)
    close(model(pos, maps).pos, plain(pos, maps).pos)
    assert not torch.allclose(model.train()(pos, maps).x, plain.train()(pos, maps).x)


def test_copies() -> None:
    model, pos, maps = cascade(conv=["attention", "gat"]), rand(B, L, 2), rand(B, C, 9, 8)
    expected = model(pos, maps).pos
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(same(pos, maps).pos, expected)
