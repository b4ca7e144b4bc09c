"""Confidence intervals and paired tests of the errors of faces, by resampling faces.

``scipy.stats`` is imported on demand: that takes a second, which would delay the other commands.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspiga_geo.evaluation.plain import plain
from pyspiga_geo.seed import derive_seed

_BATCH = 500  # resamples drawn at once: bounds the memory at 500 F numbers


@dataclass(frozen=True)
class PairedComparison:
    """Comparison of the errors of two methods on the same F faces.

    Args:
        faces: number of faces F.
        difference: mean over faces of the difference, in the errors' unit; negative if the first method is better.
        interval: confidence interval of that mean.
        p_permutation: probability of a mean at least as far from zero if it were chance which of the two methods
            a face's errors come from (signs of the differences flipped at random).
        p_wilcoxon: p-value of Wilcoxon's signed-rank test, which depends on most faces and hardly on outliers.

    Example:
        >>> compare_errors([2.0, 3.0, 4.0, 5.0], [3.0, 4.5, 5.0, 6.5], resamples=99).p_wilcoxon
        0.125
    """

    faces: int
    difference: float
    interval: tuple[float, float]
    p_permutation: float
    p_wilcoxon: float

    def to_dict(self) -> dict[str, Any]:
        """The same names with values that JSON has: a list, null for NaN."""
        return dict(plain(vars(self)))


def bootstrap_interval(
    errors: npt.ArrayLike, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> tuple[float, float]:
    """Confidence interval of the mean of the faces' errors, by resampling faces with replacement (BCa).

    It does not depend on the order of the faces.

    Args:
        errors: one number per face [F], finite: its error, or the difference of two methods' errors.
        confidence: probability with which the interval should hold the true mean.
        resamples: number of resamples.
        seed: of the resampling.

    Returns:
        Lower and upper end; NaN for fewer than two faces.

    Raises:
        ValueError: if the errors are not a row of finite numbers, or the confidence is not between 0 and 1.

    Example:
        >>> low, high = bootstrap_interval(np.arange(100.0))  # 49.5 -+ 1.96 * 29 / sqrt(100)
        >>> round(low), round(high)
        (44, 55)
    """
    from scipy import stats

    values = _sorted(errors)
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence must lie between 0 and 1, not {confidence}")
    if len(values) < 2:
        return math.nan, math.nan
    if values[0] == values[-1]:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=_BATCH,
        rng=np.random.default_rng(derive_seed(seed)),
    ).confidence_interval
    return float(found.low), float(found.high)


def compare_errors(
    errors: npt.ArrayLike,
    reference: npt.ArrayLike,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods by their errors on the same faces in the same order: ``errors - reference``.

    Args:
        errors: error of each face by one method [F], finite.
        reference: error of each face by the method it is compared with [F], finite.
        confidence: of the interval.
        resamples: number of resamples for the interval, and of sign flips for the test.
        seed: of the resampling.

    Returns:
        The comparison.

    Raises:
        ValueError: if the numbers of faces differ, there are no faces, or errors are not finite.

    Example:
        >>> compare_errors([2.0, 3.0, 4.0, 5.0], [3.0, 4.5, 5.0, 6.5], resamples=99).difference
        -1.25
    """
    from scipy import stats

    one, other = np.asarray(errors, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if one.shape != other.shape:
        raise ValueError(f"errors of {one.size} faces cannot be compared with those of {other.size}")
    gaps = _sorted(one - other)
    mean, interval = math.fsum(gaps) / len(gaps), bootstrap_interval(gaps, confidence, resamples, seed)
    if len(gaps) == 1 or not gaps.any():  # nothing to test
        return PairedComparison(len(gaps), mean, interval, 1.0, 1.0)
    test = stats.permutation_test(  # exchanging a gap with 0 flips the sign of their difference
        (gaps, np.zeros_like(gaps)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        rng=np.random.default_rng(derive_seed(seed, 1)),
    )
    return PairedComparison(
        faces=len(gaps),
        difference=mean,
        interval=interval,
        p_permutation=float(test.pvalue),
        p_wilcoxon=float(stats.wilcoxon(gaps).pvalue),
    )


def _sorted(errors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Sort the errors, so that resampling does not depend on the order of faces in a file."""
    values = np.sort(np.asarray(errors, dtype=np.float64))
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("the errors must be a row of finite numbers that is not empty")
    return values
