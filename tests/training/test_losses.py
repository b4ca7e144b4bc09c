import math

import numpy as np
import pytest
import torch
from scipy import stats

from pyspiga_geo.geometry import DEGREES_OF_FREEDOM
from pyspiga_geo.training.losses import (
    adaptive_wing_loss,
    cascade_loss,
    coordinate_loss,
    heatmap_loss,
    likeliest_spread,
    masked_mean,
    negative_log_likelihood,
    pose_loss,
    squared_mahalanobis,
)


def test_coordinates_count_in_percent_and_leave_out_masked_landmarks():
    target = torch.zeros(1, 3, 2, dtype=torch.float64)
    predicted = torch.tensor([[[0.001, 0.0], [0.03, -0.03], [9.0, 9.0]]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False]])
    first = 0.5 * 0.1**2 / 0.25 / 2  # quadratic below a quarter of a percent, mean of x and y
    second = 3 - 0.5 * 0.25  # linear above
    assert coordinate_loss(predicted, target, mask).item() == pytest.approx((first + second) / 2)


def test_nothing_unmasked_is_zero_with_finite_gradient():
    predicted = torch.rand(2, 3, 2, requires_grad=True)
    loss = coordinate_loss(predicted, torch.rand(2, 3, 2), torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad.abs().sum() == 0


def test_pose_counts_degrees_and_translation_as_an_arc():
    target = torch.tensor([[10.0, 20, -30, 0.1, 0.2, 3], [torch.nan] * 6], dtype=torch.float64)
    predicted = torch.tensor([[13.0, 20, -30, 0.2, 0.2, 3], [50.0] * 6], dtype=torch.float64)
    expected = (3**2 + (0.1 * 180 / math.pi) ** 2) / 6
    assert pose_loss(predicted, target).item() == pytest.approx(expected)


def test_an_unknown_pose_gives_no_gradient():
    predicted = torch.zeros(2, 6, requires_grad=True)
    pose_loss(predicted, torch.full((2, 6), torch.nan)).backward()
    assert predicted.grad.tolist() == [[0.0] * 6] * 2


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("epsilon", [1.0, 0.4])
def test_adaptive_wing_by_hand(target, epsilon):
    small, large = 0.2, 0.9
    truth = torch.tensor(target, dtype=torch.float64)
    power, bend = 2.1 - target, 0.5 / epsilon
    options = {} if epsilon == 1 else {"epsilon": epsilon}  # 1 is the default
    expected = 14 * math.log(1 + (small / epsilon) ** power)
    assert adaptive_wing_loss(truth - small, truth, **options).item() == pytest.approx(expected)
    slope = 14 * power * bend ** (power - 1) / (1 + bend**power) / epsilon
    offset = 0.5 * slope - 14 * math.log(1 + bend**power)
    assert adaptive_wing_loss(truth - large, truth, **options).item() == pytest.approx(slope * large - offset)


def test_adaptive_wing_is_smooth_where_its_pieces_meet():
    truth = torch.tensor(0.4, dtype=torch.float64)
    values, slopes = [], []
    for gap in (0.5 - 1e-7, 0.5 + 1e-7):
        predicted = (truth - gap).requires_grad_(True)
        loss = adaptive_wing_loss(predicted, truth)
        loss.backward()
        values.append(loss.item())
        slopes.append(predicted.grad.item())
    assert values[0] == pytest.approx(values[1], abs=1e-5)
    assert slopes[0] == pytest.approx(slopes[1], abs=1e-5)


def test_adaptive_wing_gradient_is_the_slope_of_its_value():
    target = torch.rand(200, dtype=torch.float64)
    predicted = torch.rand(200, dtype=torch.float64, requires_grad=True)
    for options in ({}, {"alpha": 2.5, "omega": 7.0, "epsilon": 0.7, "theta": 0.3}):
        assert torch.autograd.gradcheck(lambda x, o=options: adaptive_wing_loss(x, target, **o), predicted)


def test_adaptive_wing_has_a_finite_gradient_at_the_truth():
    predicted = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    adaptive_wing_loss(predicted, predicted.detach().clone()).sum().backward()
    assert predicted.grad.isfinite().all()


def test_heatmaps_of_masked_landmarks_do_not_count():
    target, predicted = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    predicted[:, 1] = 1
    assert heatmap_loss(predicted, target, torch.tensor([[True, False]])).item() == pytest.approx(0, abs=1e-6)
    assert heatmap_loss(predicted, target, torch.tensor([[True, True]])).item() > 1


def test_cascade_loss_is_the_sum_over_steps():
    target, mask = torch.rand(2, 5, 2), torch.ones(2, 5, dtype=torch.bool)
    steps = [torch.rand(2, 5, 2) for _ in range(3)]
    expected = sum(coordinate_loss(pos, target, mask) for pos in steps)
    assert torch.allclose(cascade_loss(steps, target, mask), expected)


def scattered() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions, covariances, targets and a mask, in float64."""
    root = torch.randn(3, 5, 2, 2, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(2, dtype=torch.float64)
    pos, target = torch.randn(2, 3, 5, 2, dtype=torch.float64)
    return pos, covariance, target, torch.rand(3, 5) < 0.6


def test_the_likelihood_is_that_of_the_t_distribution():
    pos, covariance, target, mask = scattered()
    nu = DEGREES_OF_FREEDOM
    expected = [
        -stats.multivariate_t(mean, matrix * (nu - 2) / nu, nu).logpdf(true)
        for mean, matrix, true in zip(pos[mask].numpy(), covariance[mask].numpy(), target[mask].numpy(), strict=True)
    ]
    found = negative_log_likelihood(pos, covariance, target, mask)[mask]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_likelihood_of_many_degrees_of_freedom_is_that_of_a_gaussian():
    pos, covariance, target, mask = scattered()
    gaussian = torch.distributions.MultivariateNormal(pos, covariance).log_prob(target)
    loss = negative_log_likelihood(pos, covariance, target, mask, dof=1e9)
    torch.testing.assert_close(loss[mask], -gaussian[mask], rtol=1e-6, atol=1e-6)


def test_masked_landmarks_count_as_where_predicted_and_give_no_gradient():
    pos, covariance, target, mask = scattered()
    target[~mask] = torch.nan
    at_centre = negative_log_likelihood(pos, covariance, pos, torch.ones_like(mask))
    torch.testing.assert_close(negative_log_likelihood(pos, covariance, target, mask)[~mask], at_centre[~mask])
    covariance.requires_grad_()

    def loss(each: torch.Tensor) -> torch.Tensor:
        return masked_mean(negative_log_likelihood(pos, each, target, mask), mask)

    loss(covariance).backward()
    assert covariance.grad.isfinite().all()
    assert (covariance.grad[~mask] == 0).all()
    assert torch.autograd.gradcheck(loss, covariance)


def test_the_likeliest_spread_is_that_of_the_drawn_errors():
    nu, covariance = DEGREES_OF_FREEDOM, torch.tensor([[2.0, 0.7], [0.7, 0.5]], dtype=torch.float64)
    drawn = stats.multivariate_t(shape=1.3**2 * covariance.numpy() * (nu - 2) / nu, df=nu, seed=0).rvs(20_000)
    error = torch.from_numpy(drawn)
    squared, _ = squared_mahalanobis(error, covariance.expand(len(error), 2, 2))
    spread = likeliest_spread(squared)
    assert spread.item() == pytest.approx(1.3, abs=0.01)
    zero, mask = torch.zeros_like(error), torch.ones(len(error), dtype=torch.bool)
    best, *others = (
        negative_log_likelihood(zero, (spread * factor) ** 2 * covariance.expand(len(error), 2, 2), error, mask).mean()
        for factor in (1, 0.99, 1.01)
    )
    assert best < min(others)
    assert likeliest_spread(squared[:0]) == 1
