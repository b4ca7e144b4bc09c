from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import Linear, MessagePassing

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import CONVS, SPIGACascade
from pyspiga_geo.nn.convs import ConvFactory

B, L, C = 3, 5, 3


class SumConv(MessagePassing):
    """A convolution of one's own."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(aggr="add")
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.propagate(edge_index, x=self.lin(x))


def cascade(**options: Any) -> SPIGACascade:
    small = {
        "num_steps": 3,
        "num_layers": 2,
        "heads": 2,
        "node_channels": 8,
        "hidden_channels": 8,
        "samples": 3,
    }
    return SPIGACascade(L, C, **(small | options)).double()


def inputs(batch: int = B) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, L, 2, dtype=torch.float64), torch.randn(batch, C, 32, 24, dtype=torch.float64)


def test_each_step_adds_its_displacement() -> None:
    model, (pos, feature_map) = cascade().eval(), inputs()
    out = model(pos, feature_map)
    assert len(out.steps) == 3
    expected = pos
    for step, window, reached in zip(model.steps, model.windows, out.steps, strict=True):
        expected = expected + step(expected, feature_map, window).move
        torch.testing.assert_close(reached, expected, rtol=0, atol=1e-12)
    assert torch.equal(out.pos, out.steps[-1])
    assert out.attention is None


def test_windows_halve_and_so_does_the_reach() -> None:
    model, (pos, feature_map) = cascade(num_steps=4, window=0.5, bound="hardtanh").eval(), inputs()
    assert model.windows == [0.5, 0.25, 0.125, 0.0625]
    for step in model.steps:  # every step goes as far as it can
        nn.init.constant_([m for m in step.decoder.modules() if isinstance(m, Linear)][-1].bias, 1e6)
    reached = torch.stack([pos, *model(pos, feature_map).steps])
    expected = torch.tensor([0.25, 0.125, 0.0625, 0.03125], dtype=torch.float64)
    torch.testing.assert_close(reached.diff(dim=0), expected[:, None, None, None].expand(4, B, L, 2))


def test_windows_of_the_reference() -> None:
    # 16, 8, 4 pixels of a map of 64.
    model = SPIGACascade(L, C, node_channels=8, hidden_channels=8)
    assert [window * 64 for window in model.windows] == [16, 8, 4]


def test_sizes_of_the_reference() -> None:
    (step,) = SPIGACascade(98, 2, 1, samples=2).steps
    assert [block.conv.in_channels for block in step.blocks] == [512, 256, 256, 256]
    decoder = [tuple(value.shape) for value in step.decoder.parameters() if value.dim() == 2]
    assert decoder == [(256, 256), (128, 256), (64, 128), (32, 64), (2, 32)]


def test_steps_share_no_parameters() -> None:
    parameters = [parameter for step in cascade().steps for parameter in step.parameters()]
    assert len({id(parameter) for parameter in parameters}) == len(parameters)


def test_positions_may_come_as_nodes_of_a_batch() -> None:
    model, (pos, feature_map) = cascade().eval(), inputs()
    static = model(pos, feature_map, return_attention=True)
    flat = model(pos.flatten(0, 1), feature_map, return_attention=True)
    assert flat.pos.shape == (B * L, 2)
    assert torch.equal(flat.pos.unflatten(0, (B, L)), static.pos)
    assert len(flat.steps) == 3
    for one, other in zip(flat.steps, static.steps, strict=True):
        assert one.shape == (B * L, 2)
        assert torch.equal(one.unflatten(0, (B, L)), other)
    for one, other in zip(flat.attention, static.attention, strict=True):
        assert torch.equal(one, other)


def test_faces_of_a_batch_do_not_see_each_other() -> None:
    model, (pos, feature_map) = cascade().eval(), inputs()
    out = model(pos, feature_map).pos
    for item in range(B):
        alone = model(pos[item : item + 1], feature_map[item : item + 1]).pos
        torch.testing.assert_close(out[item : item + 1], alone, rtol=0, atol=1e-12)


def test_attention_of_every_layer_of_every_step() -> None:
    model, (pos, feature_map) = cascade(num_steps=2, num_layers=3).eval(), inputs()
    out = model(pos, feature_map, return_attention=True)
    assert [tuple(alpha.shape) for alpha in out.attention] == [(B, 2, L, L)] * 6
    for alpha in out.attention:
        torch.testing.assert_close(alpha.sum(dim=-1), torch.ones(B, 2, L, dtype=torch.float64))
    torch.testing.assert_close(out.pos, model(pos, feature_map).pos, rtol=0, atol=1e-10)
    # In order: the second step's layers stand behind the first step's.
    second = model.steps[1](out.steps[0], feature_map, model.windows[1], return_attention=True)
    for one, other in zip(out.attention[3:], second.attention, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("conv", ["attention", "gcn", "sage"])
def test_complete_edges_are_what_is_meant_without_edges(conv: str) -> None:
    model, (pos, feature_map) = cascade(conv=conv).eval(), inputs()
    out = model(pos, feature_map)
    torch.testing.assert_close(model(pos, feature_map, complete_edges(L)).pos, out.pos, rtol=0, atol=1e-10)
    line = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    assert not torch.allclose(model(pos, feature_map, line).pos, out.pos)


@pytest.mark.parametrize("conv", [*CONVS, SumConv])
def test_one_training_step(conv: str | ConvFactory) -> None:
    model, (pos, feature_map) = cascade(conv=conv, num_steps=2).train(), inputs()
    target = torch.rand_like(pos)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in model.named_parameters()}
    out = model(pos, feature_map)
    loss = sum((step - target).abs().mean() for step in out.steps)
    loss.backward()
    for name, value in model.named_parameters():
        if not value.requires_grad:
            continue
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
    optimiser.step()
    changed = [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]
    for step in range(2):
        parts = ["visual", "relative", "blocks.0.update", "blocks.1.update", "decoder"]
        parts += [] if conv == "none" else ["blocks.0.conv", "blocks.1.conv"]
        for part in parts:
            assert any(name.startswith(f"steps.{step}.{part}.") for name in changed), (step, part)
    with torch.no_grad():
        assert not torch.equal(model(pos, feature_map).pos, out.pos)


def test_training_learns() -> None:
    # The same small batch over and over: the cascade must come closer than it started.
    model, (pos, feature_map) = cascade(num_steps=1, num_layers=1), inputs()
    target = pos + 0.05 * torch.randn(L, 2)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        loss = (model(pos, feature_map).pos - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("conv", ["none", "gcn", SumConv])
def test_attention_of_an_operator_without(conv: str | ConvFactory) -> None:
    with pytest.raises(ValueError, match="attention"):
        cascade(conv=conv)(*inputs(), return_attention=True)


@pytest.mark.parametrize(
    "shape", [(C, 32, 24), (B, C + 1, 32, 24), (B, 32, 24, C)], ids=["no batch", "channels", "channels last"]
)
def test_feature_map_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    pos, _ = inputs()
    with pytest.raises(ValueError, match=r"feature_map must be \[B, 3, H, W\]"):
        cascade()(pos, torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    "shape",
    [(B, L + 1, 2), (B - 1, L, 2), (B * L + 1, 2), (B, L, 3), (L, 2), (L, B, 2), (B * L * 2,)],
    ids=str,
)
def test_positions_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    _, feature_map = inputs()
    with pytest.raises(ValueError, match=r"pos must be \[3, 5, 2\] or \[15, 2\]"):
        cascade()(torch.zeros(shape, dtype=torch.float64), feature_map)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown conv 'gnc'"):
        cascade(conv="gnc")
    with pytest.raises(ValueError, match="unknown bound 'tanh'"):
        cascade(bound="tanh")
    with pytest.raises(ValueError, match="at least 2"):
        SPIGACascade(1, C)


def test_options_reach_every_layer() -> None:
    model = cascade(heads=4, include_self=True, scale=True, out_proj=True, bound="hardtanh", samples=5)
    for step in model.steps:
        assert step.bound_kind == "hardtanh"
        assert step.visual.samples == 5
        for block in step.blocks:
            assert block.conv.heads == 4
            assert block.conv.include_self
            assert block.conv.scale == 2**-0.5
            assert block.conv.lin_out is not None


def test_windows_on_heatmaps() -> None:
    model, (pos, feature_map) = cascade(heatmap_windows=True), inputs()
    heatmaps = torch.randn(B, L, 32, 24, dtype=torch.float64, requires_grad=True)
    model(pos, feature_map, heatmaps=heatmaps).pos.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert (heatmaps.grad.flatten(2).abs().amax(dim=2) > 0).all()  # every landmark's map counts


def test_normalised_features_keep_attention_soft() -> None:
    """However large the values of a map; without normalisation each landmark attends to a single other one."""
    pos, feature_map = inputs()

    def weights(pre_norm: bool, factor: float) -> Tensor:
        torch.manual_seed(0)
        model = cascade(pre_norm=pre_norm, position="none").eval()
        nn.init.zeros_(model.steps[0].visual.lin.bias)
        return model(pos, factor * feature_map, return_attention=True).attention[0]

    assert weights(False, 1e4).amax(dim=-1).median() > 0.999
    torch.testing.assert_close(weights(True, 1e4), weights(True, 1), rtol=0, atol=1e-4)


def test_heatmaps_that_are_missing_or_not_asked_for() -> None:
    pos, feature_map = inputs()
    heatmaps = torch.zeros(B, L, 32, 24, dtype=torch.float64)
    with pytest.raises(ValueError, match="needs heatmaps"):
        cascade(heatmap_windows=True)(pos, feature_map)
    with pytest.raises(ValueError, match="has no windows on heatmaps"):
        cascade()(pos, feature_map, heatmaps=heatmaps)
    for wrong in (heatmaps[:1], heatmaps[:, :2], heatmaps[0]):
        with pytest.raises(ValueError, match=r"heatmaps must be \[3, 5, H, W\]"):
            cascade(heatmap_windows=True)(pos, feature_map, heatmaps=wrong)
