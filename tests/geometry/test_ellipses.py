import math

import pytest
import torch
from scipy import stats

from pyspiga_geo.geometry import DEGREES_OF_FREEDOM, ellipse_radius, rms_deviation, transform_covariance


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.8, 0.95, 0.999])
def test_the_radius_is_that_of_the_t_distribution(probability: float) -> None:
    """Half of the squared Mahalanobis distance by the scale matrix has an F distribution with 2 and nu degrees."""
    nu = DEGREES_OF_FREEDOM
    squared = ellipse_radius(probability) ** 2 * nu / (nu - 2)
    assert stats.f(2, nu).cdf(squared / 2) == pytest.approx(probability, abs=1e-12)


def test_half_of_the_landmarks_and_nearly_all_of_them_are_as_far_apart_as_on_faces() -> None:
    assert ellipse_radius(0.95) / ellipse_radius(0.5) == pytest.approx(2.43, abs=0.005)


@pytest.mark.parametrize("probability", [-0.1, 1.0, 1.5, math.nan])
def test_no_ellipse_holds_everything(probability: float) -> None:
    with pytest.raises(ValueError, match=r"probability must be within 0\.\.1, 1 left out"):
        ellipse_radius(probability)


def test_covariances_move_with_their_points() -> None:
    points = torch.randn(4, 1000, 2, dtype=torch.float64) @ torch.tensor([[2.0, 0.5], [0.0, 1.0]]).double()
    matrix = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    matrix[:, :2] = torch.randn(4, 2, 3, dtype=torch.float64)
    moved = points @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
    before = torch.stack([torch.cov(each.T) for each in points])[:, None]
    after = torch.stack([torch.cov(each.T) for each in moved])[:, None]
    torch.testing.assert_close(transform_covariance(before, matrix), after)


def test_the_deviation_per_axis_does_not_turn() -> None:
    covariance = torch.tensor([[[8.0, 3.0], [3.0, 10.0]]], dtype=torch.float64)
    turn = torch.tensor([[0.6, -0.8, 5.0], [0.8, 0.6, 7.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert rms_deviation(transform_covariance(covariance, turn)).item() == pytest.approx(3.0, abs=1e-12)


def test_each_covariance_has_its_deviation() -> None:
    covariances = torch.diag_embed(torch.tensor([[[7.0, 1], [18, 0]], [[32, 0], [25, 25]]]))
    assert rms_deviation(covariances).tolist() == [[2, 3], [4, 5]]
