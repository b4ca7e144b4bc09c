import math

import pytest
import torch

from pyspiga_geo.nn import UncertaintyHead
from pyspiga_geo.nn.uncertainty import LARGEST, SMALLEST, STRONGEST

L, C, M = 5, 8, 6


def head() -> UncertaintyHead:
    return UncertaintyHead(L, C, M, heads=2)


def inputs(size: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return size * torch.randn(3, L, C), size * torch.randn(3, M, 8, 8), torch.rand(3, L, 2)


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4, 1e15])
def test_every_finite_input_gives_a_covariance(size: float) -> None:
    made = head()
    with torch.no_grad():
        made.bias.uniform_(-size, size)
    out = made(*inputs(size))
    assert out.covariance.shape == (3, L, 2, 2)
    assert out.visible.shape == (3, L)
    assert torch.equal(out.covariance, out.covariance.mT)
    assert (torch.linalg.eigvalsh(out.covariance.double()) > 0).all()
    sigma = out.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    rho = out.covariance[..., 0, 1] / sigma.prod(dim=-1)
    assert (sigma >= SMALLEST * 0.999).all()
    assert (sigma <= LARGEST * 1.001).all()
    assert (rho.abs() <= STRONGEST * 1.001).all()
    loss = out.covariance.det().log().sum() + out.visible.sigmoid().sum()
    loss.backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in made.parameters())


def test_the_bias_is_logarithms_a_correlation_and_a_logit() -> None:
    made = head().double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.bias[2] = torch.tensor([0.5, -0.5, 0.3, 2.0])
    out = made(*(value.double() for value in inputs()))
    middle, reach = math.log(SMALLEST) / 2, -math.log(SMALLEST) / 2
    for row, raw in ((0, [0.0, 0.0, 0.0, 0.0]), (2, [0.5, -0.5, 0.3, 2.0])):
        x, y = (math.exp(middle + reach * math.tanh(value / reach)) for value in raw[:2])
        both = STRONGEST * math.tanh(raw[2]) * x * y
        expected = torch.tensor([[x * x, both], [both, y * y]], dtype=torch.float64)
        torch.testing.assert_close(out.covariance[0, row], expected)
        assert out.visible[0, row] == raw[3]


def test_what_one_landmark_sees_reaches_the_others() -> None:
    made, (x, feature_map, pos) = head(), inputs()
    before = made(x, feature_map, pos)
    changed = x.clone()
    changed[:, 0] += torch.randn(C)  # more than a shift of all, which the norm would take away
    after = made(changed, feature_map, pos)
    assert (after.visible[:, 1:] != before.visible[:, 1:]).all()
    alone = made(changed, feature_map, pos, torch.tensor([[1, 2], [2, 1]]))
    assert torch.equal(alone.visible[:, 3:], made(x, feature_map, pos, torch.tensor([[1, 2], [2, 1]])).visible[:, 3:])


def test_half_precision_layers_answer_in_single() -> None:
    out = head().bfloat16()(*(value.bfloat16() for value in inputs()[:2]), torch.rand(3, L, 2))
    assert out.covariance.dtype == out.visible.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "shape"), [("x", (3, L + 1, C)), ("x", (3, L, C + 1)), ("x", (L, C)), ("pos", (2, L, 2))]
)
def test_wrong_shapes_are_named(name: str, shape: tuple[int, ...]) -> None:
    x, feature_map, pos = inputs()
    given = {"x": x, "feature_map": feature_map, "pos": pos, name: torch.rand(shape)}
    with pytest.raises(ValueError, match=rf"{name} must be \["):
        head()(**given)


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="heads"):
        UncertaintyHead(L, 9, M, heads=4)
