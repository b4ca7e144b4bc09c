import math

import numpy as np
import pytest

from pyspiga_geo.evaluation import auc_fr, face_errors, landmark_errors, nme, percentiles
from pyspiga_geo.evaluation.metrics import _simpson as simpson
from pyspiga_geo.evaluation.metrics import masked_mean

NAN = math.nan


def test_errors_by_hand() -> None:
    truth = [[[0, 0], [NAN, NAN]], [[1, 1], [2, 2]]]
    errors = landmark_errors([[[3, 4], [9, 9]], [[1, 1], [2, 4]]], truth, [50, 20])
    assert errors == pytest.approx(np.array([[10, NAN], [0, 10]]), nan_ok=True)
    assert face_errors(errors).tolist() == [10, 5]
    assert nme(errors) == 7.5
    assert nme(errors, divisor=2) == 5  # (10 / 2 + 10 / 2) / 2
    assert face_errors([[NAN, NAN]]) == pytest.approx([NAN], nan_ok=True)
    assert face_errors(errors, divisor=1).tolist() == [10, 10]
    with pytest.raises(ValueError, match="divisor must be at least 1, not 0"):
        face_errors(errors, divisor=0)


@pytest.mark.parametrize(
    ("predicted", "truth", "faces"),
    [
        ((2, 3, 2), (2, 4, 2), 2),
        ((2, 4, 2), (2, 3, 2), 2),
        ((2, 3, 2), (2, 3, 2), 3),
        ((2, 3, 2), (2, 3, 2), 1),
        ((2, 2), (2, 2), 2),
        ((2, 3, 2, 1), (2, 3, 2, 1), 2),
        ((2, 3, 3), (2, 3, 3), 2),
        ((2, 3, 1), (2, 3, 1), 2),
    ],
)
def test_shapes_that_do_not_fit(predicted: tuple[int, ...], truth: tuple[int, ...], faces: int) -> None:
    with pytest.raises(ValueError, match="needs"):
        landmark_errors(np.zeros(predicted), np.zeros(truth), np.ones(faces))


def test_what_is_not_predicted_is_an_error_unless_it_is_not_annotated() -> None:
    truth, predicted = np.zeros((2, 3, 2)), np.ones((2, 3, 2))
    predicted[1, 2] = NAN
    also = predicted.copy()
    also[1, 1] = NAN
    with pytest.raises(ValueError, match="face 1: landmark 1 is"):  # the first
        landmark_errors(also, truth, np.ones(2))
    with pytest.raises(ValueError, match="face 1: landmark 2 is annotated but has no predicted position"):
        landmark_errors(predicted, truth, np.ones(2))
    truth[1, 2] = NAN
    assert np.isnan(landmark_errors(predicted, truth, np.ones(2))[1, 2])


def test_means_do_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(0)
    errors = rng.lognormal(0, 6, size=(301, 7))
    errors[rng.random(errors.shape) < 0.2] = NAN
    order = rng.permutation(len(errors))
    assert np.nansum(errors[:, 0]) != np.nansum(errors[order, 0])  # it takes care
    assert nme(errors) == nme(errors[order]) == nme(errors[:, ::-1])
    np.testing.assert_array_equal(masked_mean(errors, axis=0), masked_mean(errors[order], axis=0))
    np.testing.assert_allclose(masked_mean(errors, axis=0), np.nanmean(errors, axis=0), rtol=1e-12)


def test_percentiles_pass_over_what_is_missing() -> None:
    assert percentiles(np.arange(101.0)).tolist() == [90, 95, 99]
    assert percentiles([NAN, 1, 3], q=[50]).tolist() == [2]
    assert np.isnan(percentiles([NAN])).all()


@pytest.mark.parametrize("faces", [2, 3, 50, 1001])
@pytest.mark.parametrize("threshold", [3.0, 8.0, 30.0])
def test_the_area_is_the_mean_distance_to_the_threshold(faces: int, threshold: float) -> None:
    """Integrated exactly, the curve up to the threshold is the mean of max(0, 1 - error / threshold)."""
    errors = np.random.default_rng(faces).gamma(4, size=faces)
    area, failures = auc_fr(errors, threshold)
    assert area == pytest.approx(100 * np.maximum(0, 1 - errors / threshold).mean(), abs=0.1)
    assert failures == pytest.approx(100 * (errors > threshold).mean())


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.0], (100, 0)),
        ([2.0, 2.0], (75, 0)),
        ([2.0, np.nextafter(2, 3)], (75, 0)),
        ([8.0], (0, 0)),  # at the threshold is not above it
        ([9.0], (0, 100)),
        ([9.0, 10.0], (0, 100)),
        ([1e6, np.nextafter(1e6, 2e6)], (0, 100)),
    ],
)
def test_the_area_at_its_ends(errors: list[float], expected: tuple[float, float]) -> None:
    assert auc_fr(errors, 8) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("threshold", "area"),
    [
        (5, 0.5 * 4.999),  # a bin that begins at the threshold is not below it
        (20, 0.5 * 9.999 + 0.001 * (1 / 6 + 1 / 4) / 2 + 10.001),  # up to the last bin, where the curve is 1, and on
    ],
)
def test_the_curve_is_one_of_ten_thousand_bins(threshold: float, area: float) -> None:
    """Errors 0 and 10: bins of 0.001, half of the faces in the first, the others in the last."""
    assert auc_fr([0, 10], threshold)[0] == pytest.approx(100 * area / threshold, abs=1e-9)


def test_thresholds_below_one() -> None:
    assert auc_fr([0.125], 0.5) == pytest.approx((75, 0))


@pytest.mark.parametrize(
    ("errors", "threshold"),
    [
        ([], 8),
        ([1, NAN], 8),
        ([1, math.inf], 8),
        ([[1, 2]], 8),
        (1, 8),
        ([1], 0),
        ([1], -1),
        ([1], math.inf),
        ([1], NAN),
    ],
)
def test_no_area(errors: list[float], threshold: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        auc_fr(errors, threshold)


@pytest.mark.parametrize(
    ("curve", "step", "area"),
    [
        ([5], 1, 0),
        ([1, 3], 1, 2),
        ([1, 4, 2], 3, 19),
        ([1, 2, 5, 3, 7], 0.5, 19 / 3),
        ([1, 4, 2, 8], 1, 10.25),  # mean of 2.5 + 20/3 and 19/3 + 5: a trapezoid at the one end, or at the other
        ([3, 1, 4, 1, 5, 9], 2, 33),
    ],
)
def test_simpsons_rule_by_hand(curve: list[float], step: float, area: float) -> None:
    assert simpson(np.array(curve, dtype=np.float64), step) == pytest.approx(area, rel=1e-12)
