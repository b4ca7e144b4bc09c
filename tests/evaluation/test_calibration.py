import math

import numpy as np
import pytest
from scipy import stats

from pyspiga_geo.evaluation import auroc, ellipse_coverage, mahalanobis, surest_half_ratio
from pyspiga_geo.geometry import DEGREES_OF_FREEDOM, ellipse_radius


def test_mahalanobis_of_a_turned_ellipse() -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    covariance = turn @ np.diag([4.0, 0.25]) @ turn.T
    errors = np.stack([turn[:, 0] * 6, turn[:, 1] * 2])
    np.testing.assert_allclose(mahalanobis(errors, np.stack([covariance] * 2)), [3, 4], rtol=1e-12)


def test_ellipses_hold_what_they_say() -> None:
    covariance = np.array([[2.0, 0.7], [0.7, 0.5]])
    nu = DEGREES_OF_FREEDOM
    drawn = stats.multivariate_t(shape=covariance * (nu - 2) / nu, df=nu, seed=0).rvs(40_000)
    held = ellipse_coverage(drawn.reshape(100, 400, 2), np.broadcast_to(covariance, (100, 400, 2, 2)))
    assert held == {p: pytest.approx(100 * p, abs=0.8) for p in (0.5, 0.8, 0.95)}


def test_coverage_to_the_point() -> None:
    radius = ellipse_radius(0.8)
    errors = [[radius * 0.999, 0], [0, radius * 1.001], [0, 0], [np.nan, np.nan]]
    assert ellipse_coverage(errors, np.stack([np.eye(2)] * 4), [0.8]) == {0.8: pytest.approx(200 / 3)}
    assert math.isnan(ellipse_coverage(np.full((2, 2), np.nan), np.stack([np.eye(2)] * 2))[0.5])


def test_auroc_counts_pairs_and_halves_ties() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 8, 60) / 4, rng.random(60) < 0.3
    gaps = scores[positive][:, None] - scores[~positive]
    assert auroc(scores, positive) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean(), abs=1e-14)
    assert auroc(-scores, positive) == pytest.approx(1 - auroc(scores, positive), abs=1e-14)
    assert auroc([1.0, 1.0], [True, False]) == 0.5
    assert math.isnan(auroc([1.0, 2.0], [True, True]))


def test_auroc_refuses() -> None:
    with pytest.raises(ValueError, match=r"not \(2,\) and \(1,\)"):
        auroc([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="one or more are NaN"):
        auroc([1.0, np.nan], [True, False])


def test_the_surest_half() -> None:
    assert surest_half_ratio([[4.0, 1.0], [2.0, 5.0]], [[3, 0], [1, 2]]) == pytest.approx(1.5 / 4.5)
    assert surest_half_ratio([1.0, 3.0], [0.2, 0.1]) == 3
    assert math.isnan(surest_half_ratio([1.0, np.nan], [1.0, 1.0]))
    with pytest.raises(ValueError, match="must have the same shape"):
        surest_half_ratio([1.0], [1.0, 2.0])


def test_covariances_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"not \(3, 2\) and \(2, 2\)"):
        mahalanobis(np.zeros((3, 2)), np.eye(2))
    with pytest.raises(ValueError, match="must hold matrices that have an inverse"):
        mahalanobis(np.zeros((1, 2)), np.ones((1, 2, 2)))
    assert ellipse_coverage([[0.0, 0.0]], [[[np.nan, 0], [0, 1]]], [0.8]) == {0.8: 0.0}  # a fault does not flatter
