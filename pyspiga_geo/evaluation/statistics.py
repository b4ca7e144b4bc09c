"""What a figure is worth: confidence intervals and paired tests of the errors of faces, by resampling faces.

``scipy.stats`` is imported where it is used: that takes a second, which the other commands need not wait.
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
    """How much larger the errors of one method are than those of another on the same F faces.

    Args:
        faces: Number of faces F.
        difference: Mean over faces of the difference, in the errors' unit; below zero when the other is better.
        interval: Confidence interval of that mean.
        p_permutation: Probability of a mean at least so far from zero if it were chance which of the two methods
            a face's errors come from (signs of the differences flipped at random).
        p_wilcoxon: p-value of Wilcoxon's signed-rank test, which asks for most faces and hardly hears outliers.
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
    """Confidence interval of the mean of the faces' errors [F], by drawing faces with replacement (BCa).

    It does not depend on the order of the faces. NaN for fewer than two faces.

    Args:
        errors: One figure a face, finite: its error, or the difference of two methods' errors.
        confidence: How often the interval is to hold the true mean.
        resamples: How often the faces are drawn.
        seed: Of the draws.

    Raises:
        ValueError: The errors are not a row of finite numbers, or the confidence is not between 0 and 1.

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
    """Compare two methods by their errors [F] on the same faces in the same order: ``errors - reference``.

    Args:
        errors: Error of each face by the one method, finite.
        reference: Error of each face by the method it is compared with, finite.
        confidence: Of the interval.
        resamples: How often faces are drawn for the interval, and signs for the test.
        seed: Of the draws.

    Raises:
        ValueError: Different numbers of faces, no faces, or errors that are not finite.

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
    """Which face is drawn must not depend on where it stands in a file."""
    values = np.sort(np.asarray(errors, dtype=np.float64))
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("the errors must be a row of finite numbers that is not empty")
    return values
