import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import Linear

from pyspiga_geo.nn import (
    BOUNDS,
    GraphBlock,
    NodeMLP,
    RelativePositionEncoder,
    StepRegressor,
    VisualWindow,
    make_conv,
)

L, C = 5, 3
WINDOW = 0.25


def step(num_layers: int = 2, bound: str = "arctan") -> StepRegressor:
    return StepRegressor(
        VisualWindow(C, 8, 3),
        RelativePositionEncoder(L, 8),
        [GraphBlock(8, 8, make_conv(heads=2)) for _ in range(num_layers)],
        NodeMLP([8, 8, 2]),
        bound=bound,
    )


def inputs(batch: int = 2) -> tuple[Tensor, Tensor, float]:
    return torch.rand(batch, L, 2), torch.randn(batch, C, 16, 16), WINDOW


def last_linear(module: nn.Module) -> Linear:
    return [each for each in module.modules() if isinstance(each, Linear)][-1]


def test_bounds_by_hand() -> None:
    offset = torch.tensor([0.0, 1, -1, 0.5, 2, -1e6], dtype=torch.float64)
    half = WINDOW / 2
    arctan = step(bound="arctan").bound(offset, WINDOW)
    # arctan 1 = pi / 4 is half of what it can reach.
    torch.testing.assert_close(arctan[:3], torch.tensor([0, half / 2, -half / 2], dtype=torch.float64))
    torch.testing.assert_close(arctan[3:5].tan(), (torch.tensor([0.5, 2]).double().atan() * WINDOW / torch.pi).tan())
    assert -half < arctan[5] < -half * 0.999
    hardtanh = step(bound="hardtanh").bound(offset, WINDOW)
    assert hardtanh.tolist() == [0, half, -half, half / 2, half, -half]


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bound_is_never_left(bound: str, dtype: torch.dtype) -> None:
    offset = torch.cat([torch.linspace(-50, 50, 1001), torch.tensor([1e8, -1e8, torch.inf, -torch.inf])]).to(dtype)
    moved = step(bound=bound).bound(offset, WINDOW)
    assert moved.abs().max() <= WINDOW / 2
    assert (moved[:1001].diff() >= 0).all()


@pytest.mark.parametrize("bound", BOUNDS)
def test_displacement_stays_inside_whatever_the_decoder_says(bound: str) -> None:
    regressor = step(bound=bound).eval()
    for bias in (1e9, -1e9):
        nn.init.constant_(last_linear(regressor.decoder).bias, bias)
        moved = regressor(*inputs()).move
        assert moved.shape == (2, L, 2)
        assert moved.abs().max() <= WINDOW / 2
        assert moved.abs().min() > 0.99 * WINDOW / 2  # it does go as far as it may


def test_unknown_bound_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'tanh'; known: arctan, hardtanh"):
        step(bound="tanh")


def test_node_features_are_visual_plus_relative() -> None:
    regressor, (pos, feature_map, _) = step().eval(), inputs()
    seen = []
    regressor.blocks[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    regressor(pos, feature_map, WINDOW)
    (x,) = seen
    torch.testing.assert_close(x, regressor.visual(feature_map, pos, WINDOW) + regressor.relative(pos))


def test_blocks_and_decoder_follow_one_another() -> None:
    regressor, (pos, feature_map, _) = step(num_layers=3).eval(), inputs()
    x = regressor.visual(feature_map, pos, WINDOW) + regressor.relative(pos)
    for block in regressor.blocks:
        x = block(x)
    expected = regressor.decoder(x).atan() * (WINDOW / torch.pi)
    torch.testing.assert_close(regressor(pos, feature_map, WINDOW).move, expected)
    assert len(regressor.blocks) == 3


def test_attention_of_each_layer_on_request() -> None:
    regressor, (pos, feature_map, _) = step(num_layers=3).eval(), inputs()
    moved, x, attention = regressor(pos, feature_map, WINDOW, return_attention=True)
    without = regressor(pos, feature_map, WINDOW)
    torch.testing.assert_close((moved, x), (without.move, without.x))
    assert without.attention == []
    assert [tuple(alpha.shape) for alpha in attention] == [(2, 2, L, L)] * 3


def test_edges_reach_the_blocks() -> None:
    regressor, (pos, feature_map, _) = step().eval(), inputs()
    line = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    out = regressor(pos, feature_map, WINDOW, line, return_attention=True)
    for alpha in out.attention:
        assert (alpha.flatten(0, 1) > 0).all(dim=0).nonzero().tolist() == line.flip(0).T.tolist()
