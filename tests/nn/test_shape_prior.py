"""The posterior of landmarks under a distribution of shapes, against its definition."""

import copy
import math

import pytest
import torch
from torch import Tensor

from pyspiga_geo.nn import ShapePrior
from pyspiga_geo.nn.shape_prior import HIDDEN, LOOSE, VISIBLE

COUNT, MODES = 7, 5


@pytest.fixture
def prior() -> ShapePrior:
    """One that knows shapes, in double precision."""
    return shapes_of(COUNT, MODES)


def shapes_of(count: int, modes: int, seed: int = 0) -> ShapePrior:
    random = torch.Generator().manual_seed(seed)
    mean = torch.randn(count, 2, generator=random, dtype=torch.float64)
    mean = mean - mean.mean(dim=0)
    drawn = torch.cat([similarities(mean), torch.randn(2 * count, modes, generator=random).double()], dim=1)
    modes_of = torch.linalg.qr(drawn).Q[:, 4:].reshape(count, 2, modes)
    prior = ShapePrior(count, modes).double()
    prior.set_shapes(mean, modes_of, torch.linspace(0.1, 0.01, modes), 1e-3)
    return prior


def similarities(mean: Tensor) -> Tensor:
    """Directions [2 L, 4] of shifts, scale and rotation."""
    x, y = mean.unbind(dim=-1)
    return torch.stack([0 * x + 1, 0 * x, 0 * x, 0 * x + 1, x, y, -y, x], dim=-1).view(-1, 4, 2).mT.reshape(-1, 4)


def faces(prior: ShapePrior, batch: int = 3, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Positions about turned and shifted means, covariances and visibility."""
    random = torch.Generator().manual_seed(seed)
    count = prior.num_landmarks
    pos = 0.2 * moved(prior.mean, 0.3, torch.tensor([0.4, 0.6])) + 0.01 * torch.randn(batch, count, 2, generator=random)
    root = 0.02 * torch.randn(batch, count, 2, 2, generator=random)
    covariance = root @ root.mT + 1e-6 * torch.eye(2)
    return pos.double(), covariance.double(), torch.rand(batch, count, generator=random).double()


def moved(shape: Tensor, angle: float, shift: Tensor) -> Tensor:
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return shape @ turn.to(shape).mT + shift.to(shape)


def by_definition(prior: ShapePrior, pos: Tensor, covariance: Tensor, visible: Tensor) -> Tensor:
    """One face: the mean of p(x | found), from the whole covariance of shapes [2 L, 2 L]."""
    count = len(pos)
    covariance = covariance * (HIDDEN + (VISIBLE - HIDDEN) * visible)[:, None, None]
    weight = 1 / covariance.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    weight = weight / weight.sum()
    z, m = (torch.view_as_complex(each.contiguous()) for each in (pos, prior.mean))
    zc, mc = (weight * z).sum(), (weight * m).sum()
    factor = (weight * (z - zc).conj() * (m - mc)).sum() / (weight * (z - zc).abs().square()).sum()
    turn = torch.tensor([[factor.real, -factor.imag], [factor.imag, factor.real]], dtype=pos.dtype)
    small = similarities(prior.mean)
    small = small / small.norm(dim=0)
    modes = prior.modes.flatten(0, 1)
    shapes = modes @ prior.variances.diag() @ modes.mT + LOOSE**2 * count * small @ small.mT
    shapes = shapes + prior.residual * torch.eye(2 * count, dtype=pos.dtype)
    noise = torch.block_diag(*(turn @ covariance @ turn.mT))
    found = torch.view_as_real(factor * (z - zc) + mc).flatten()
    gain = shapes @ torch.linalg.inv(shapes + noise)
    likeliest = prior.mean.flatten() + gain @ (found - prior.mean.flatten())
    back = (torch.view_as_complex(likeliest.view(count, 2)) - mc) / factor + zc
    return torch.view_as_real(back)


def test_it_is_the_posterior_mean(prior: ShapePrior) -> None:
    pos, covariance, visible = faces(prior)
    found = prior(pos, covariance, visible)
    expected = torch.stack([by_definition(prior, *face) for face in zip(pos, covariance, visible, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert (found - pos).norm(dim=-1).max() > 1e-3


def test_an_unsure_landmark_follows_the_others() -> None:
    prior = shapes_of(COUNT, 2)
    prior.residual.fill_(1e-8)
    true = 0.2 * moved(prior.mean + prior.modes @ torch.tensor([0.3, -0.2]).double(), 0.5, torch.tensor([0.5, 0.5]))
    pos, covariance = true[None].clone(), 1e-10 * torch.eye(2).double().repeat(1, COUNT, 1, 1)
    pos[0, 3] += 0.2
    covariance[0, 3] *= 1e9
    torch.testing.assert_close(prior(pos, covariance)[0], true, rtol=0, atol=1e-4)


def test_sure_landmarks_stay(prior: ShapePrior) -> None:
    pos, covariance, visible = faces(prior)
    torch.testing.assert_close(prior(pos, 1e-12 * covariance, visible), pos, rtol=0, atol=1e-8)


def test_without_shapes_landmarks_stay() -> None:
    pos, covariance, visible = faces(shapes_of(COUNT, MODES))
    torch.testing.assert_close(ShapePrior(COUNT, MODES).double()(pos, covariance, visible), pos, rtol=0, atol=1e-7)


def test_hidden_landmarks_move_further(prior: ShapePrior) -> None:
    pos, covariance, _ = faces(prior)
    seen = torch.ones(3, COUNT).double()
    away = [(prior(pos, covariance, visible) - pos).norm(dim=-1).mean() for visible in (seen, 0 * seen)]
    assert away[0] < 0.95 * away[1]
    assert torch.equal(prior(pos, covariance), prior(pos, covariance, seen))


@pytest.mark.parametrize("factor", [0.01, 1.0, 300.0])
def test_turned_scaled_and_shifted_faces(prior: ShapePrior, factor: float) -> None:
    pos, covariance, visible = faces(prior)
    shift = torch.tensor([-3.0, 9.0])
    turn = torch.tensor([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]]).double()
    elsewhere = prior(factor * moved(pos, 1, shift), factor**2 * turn @ covariance @ turn.mT, visible)
    expected = factor * moved(prior(pos, covariance, visible), 1, shift)
    torch.testing.assert_close(elsewhere, expected, rtol=0, atol=1e-7 * factor)


def test_the_unit_of_the_shapes_does_not_matter(prior: ShapePrior) -> None:
    other = copy.deepcopy(prior)
    other.set_shapes(9 * prior.mean + 4, prior.modes, 81 * prior.variances, 81 * prior.residual)
    face = faces(prior)
    torch.testing.assert_close(other(*face), prior(*face), rtol=0, atol=1e-12)


def test_gradients(prior: ShapePrior) -> None:
    pos, covariance, visible = (each[:1].requires_grad_() for each in faces(prior))
    assert torch.autograd.gradcheck(lambda p, c, v: prior(p, (c + c.mT) / 2, v), (pos, covariance, visible))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_nothing(dtype: torch.dtype) -> None:
    prior = shapes_of(68, 40).float()
    pos, covariance, visible = (each.float() for each in faces(prior))
    expected = prior(pos, covariance, visible)
    found = prior.to(dtype)(pos, covariance, visible)
    assert torch.equal(found, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(prior(pos, covariance, visible), expected)
    assert prior(pos.to(dtype), covariance.to(dtype), visible.to(dtype)).dtype == torch.float32


def test_a_prior_without_memory_gets_some(prior: ShapePrior) -> None:
    with torch.device("meta"):
        empty = ShapePrior(COUNT, MODES)
    filled = empty.to_empty(device="cpu").double()
    filled.load_state_dict(prior.state_dict())
    assert torch.equal(filled(*faces(prior)), prior(*faces(prior)))


def test_single_precision_is_enough() -> None:
    prior = shapes_of(68, 60)
    face = faces(prior, batch=16)
    single = copy.deepcopy(prior).float()(*(each.float() for each in face))
    assert (single - prior(*face)).abs().max() < 1e-5


def test_landmarks_in_one_place(prior: ShapePrior) -> None:
    pos = torch.full((1, COUNT, 2), 0.5).double()
    assert prior(pos, 1e-4 * torch.eye(2).double().repeat(1, COUNT, 1, 1)).isfinite().all()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 6, 2), (2, 7, 2, 2), (2, 7)), r"pos must be \[B, 7, 2\]"),
        (((2, 7, 2), (3, 7, 2, 2), (2, 7)), r"covariance must be \[2, 7, 2, 2\]"),
        (((2, 7, 2), (2, 7, 2, 2), (7,)), r"visible must be \[2, 7\]"),
    ],
)
def test_wrong_shapes(prior: ShapePrior, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prior(*map(torch.ones, shapes))


def test_wrong_settings(prior: ShapePrior) -> None:
    with pytest.raises(ValueError, match="num_landmarks must be 3 or more, got 2"):
        ShapePrior(2, 0)
    with pytest.raises(ValueError, match=r"num_modes must be in 0..10 with 7 landmarks, got 11"):
        ShapePrior(COUNT, 11)
    with pytest.raises(ValueError, match=r"modes must be \[7, 2, 5\]"):
        prior.set_shapes(prior.mean, prior.modes[..., 1:], prior.variances, 0.1)
