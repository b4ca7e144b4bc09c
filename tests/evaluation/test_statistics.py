import math

import numpy as np
import pytest

from pyspiga_geo.evaluation import bootstrap_interval, compare_errors


def test_the_interval_is_that_of_theory_for_many_faces() -> None:
    errors = np.random.default_rng(0).gamma(4, size=1000)
    half = 1.96 * errors.std(ddof=1) / math.sqrt(len(errors))
    low, high = bootstrap_interval(errors, resamples=2999)
    assert low == pytest.approx(errors.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(errors.mean() + half, abs=0.1 * half)
    narrow = bootstrap_interval(errors, confidence=0.5, resamples=999)
    assert low < narrow[0] < errors.mean() < narrow[1] < high


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(3, 1, 40), 0.8, resamples=200, seed=run) for run in range(150)]
    share = np.mean([low <= 3 <= high for low, high in intervals])
    assert 0.7 <= share <= 0.9  # 0.8, and three standard deviations of 150 trials


def test_few_faces_and_equal_ones() -> None:
    assert np.isnan(bootstrap_interval([2.0])).all()
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2, 2)
    for errors in ([], [1, math.nan], [1, math.inf], [[1, 2]]):
        with pytest.raises(ValueError, match="row of finite numbers"):
            bootstrap_interval(errors)
    with pytest.raises(ValueError, match="between 0 and 1, not 95"):
        bootstrap_interval([1, 2], confidence=95)


def test_a_comparison_of_four_faces_by_hand() -> None:
    """All four differences have one sign: 2 of the 16 ways to flip signs are as far from zero."""
    better = compare_errors([1.0, 2.0, 3.0, 5.0], [1.5, 2.25, 3.75, 6.0])
    assert better.faces == 4
    assert better.difference == -0.625
    assert better.p_permutation == 0.125
    assert better.p_wilcoxon == 0.125
    assert -1 <= better.interval[0] < better.difference < better.interval[1] <= -0.25


def test_a_small_difference_is_seen_in_pairs() -> None:
    """0.02 on errors that spread by 1: nothing between two samples of faces, plain on the same faces."""
    rng = np.random.default_rng(0)
    one = rng.gamma(4, size=300)
    other = one + rng.normal(0.02, 0.1, size=300)
    paired = compare_errors(other, one, resamples=999)
    assert paired.interval[0] > 0
    assert paired.p_permutation < 0.01
    assert paired.p_wilcoxon < 0.01
    alone = [bootstrap_interval(errors, resamples=999) for errors in (one, other)]
    assert alone[0][1] > alone[1][0]  # the intervals of the two NMEs overlap
    shuffled = compare_errors(rng.permutation(other), one, resamples=999)
    assert shuffled.interval[0] < 0 < shuffled.interval[1]
    assert shuffled.p_permutation > 0.05


def test_chance_alone_is_significant_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    values = [compare_errors(rng.normal(size=30), rng.normal(size=30), resamples=100, seed=run) for run in range(150)]
    for p in ([value.p_permutation for value in values], [value.p_wilcoxon for value in values]):
        assert 0.1 <= np.mean(np.array(p) <= 0.2) <= 0.3


def test_the_order_of_the_faces_does_not_matter_and_the_seed_does() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.gamma(4, size=(2, 57))
    order = rng.permutation(57)
    assert compare_errors(one, other) == compare_errors(one[order], other[order])
    assert bootstrap_interval(one) == bootstrap_interval(one[order])
    assert bootstrap_interval(one) != bootstrap_interval(one, seed=1)


def test_equal_methods_and_single_faces() -> None:
    same = compare_errors([1.0, 2.0], [1.0, 2.0])
    assert (same.difference, same.interval, same.p_permutation, same.p_wilcoxon) == (0, (0, 0), 1, 1)
    alone = compare_errors([2.0], [1.0]).to_dict()
    assert alone == {
        "faces": 1,
        "difference": 1,
        "interval": [None, None],
        "p_permutation": 1,
        "p_wilcoxon": 1,
    }
    with pytest.raises(ValueError, match="errors of 2 faces cannot be compared with those of 3"):
        compare_errors([1, 2], [1, 2, 3])
