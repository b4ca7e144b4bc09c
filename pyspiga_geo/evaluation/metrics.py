"""Landmark errors on plain arrays, defined as in the SPIGA authors' evaluation.

Shapes: F faces, L landmarks; positions in pixels of the image, float64; errors in percent of a length of the
same face (the normaliser). NaN marks a landmark that is not annotated: it is left out of every mean. Means are
rounded once, from the exact sum: they do not depend on the order of the faces, not even in the last digit.

The definitions reproduce the figures the authors publish for 300-W private
(https://github.com/andresprados/SPIGA).
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_CURVE_BINS = 10_000


def landmark_errors(predicted: npt.ArrayLike, truth: npt.ArrayLike, normaliser: npt.ArrayLike) -> FloatArray:
    """Distance of each predicted landmark from the true one, in percent of the normaliser: ``100 |p - t| / d``.

    Args:
        predicted: positions [F, L, 2], pixels.
        truth: positions [F, L, 2], pixels; NaN where not annotated.
        normaliser: length d of each face [F], pixels.

    Returns:
        float64 [F, L]; NaN where the landmark is not annotated.

    Raises:
        ValueError: if the shapes do not match, or an annotated landmark has no predicted position (to leave it
            out would favour a method that gives up on hard landmarks).

    Example:
        >>> landmark_errors([[[3, 4], [0, 0]]], [[[0, 0], [np.nan, np.nan]]], normaliser=[50]).tolist()
        [[10.0, nan]]
    """
    p, t, d = (np.asarray(value, dtype=np.float64) for value in (predicted, truth, normaliser))
    if p.shape != t.shape or p.ndim != 3 or p.shape[2] != 2 or d.shape != p.shape[:1]:
        raise ValueError(f"needs [F, L, 2], [F, L, 2] and [F], not {p.shape}, {t.shape} and {d.shape}")
    lacking = np.isnan(p).any(axis=2) & ~np.isnan(t).any(axis=2)
    if lacking.any():
        face, row = np.argwhere(lacking)[0]
        raise ValueError(f"face {face}: landmark {row} is annotated but has no predicted position")
    percent: FloatArray = 100 * np.linalg.norm(p - t, axis=-1) / d[:, None]
    return percent


def face_errors(errors: npt.ArrayLike, divisor: int | None = None) -> FloatArray:
    """Mean error of each face over its landmarks.

    Args:
        errors: from :func:`landmark_errors`, [F, L], percent.
        divisor: divide each face's sum by this instead of by the number of its annotated landmarks. The
            published figures for MERL-RAV always divide by 68, which makes faces with few annotated points
            look better.

    Returns:
        float64 [F], percent; NaN for a face without landmarks.

    Raises:
        ValueError: if the divisor is below 1.

    Example:
        >>> face_errors([[1, 3, np.nan]]).tolist(), face_errors([[1, 3, np.nan]], divisor=3).round(3).tolist()
        ([2.0], [1.333])
    """
    if divisor is not None and divisor < 1:
        raise ValueError(f"the divisor must be at least 1, not {divisor}")
    rows = np.asarray(errors, dtype=np.float64)
    return np.array([_mean(row, divisor) for row in rows], dtype=np.float64)


def nme(errors: npt.ArrayLike, divisor: int | None = None) -> float:
    """Normalised mean error: the mean over faces of :func:`face_errors`.

    Args:
        errors: from :func:`landmark_errors`, [F, L], percent.
        divisor: as in :func:`face_errors`.

    Returns:
        Percent; NaN without faces.

    Raises:
        ValueError: if the divisor is below 1.

    Example:
        >>> nme([[1, 3], [4, np.nan]])  # (2 + 4) / 2
        3.0
    """
    of_face = face_errors(errors, divisor)
    return math.fsum(of_face) / len(of_face) if len(of_face) else math.nan


def percentiles(errors: npt.ArrayLike, q: Sequence[float] = (90, 95, 99)) -> FloatArray:
    """Errors that q percent of the entries do not exceed, interpolated linearly.

    Args:
        errors: any shape; NaN is left out.
        q: percentages.

    Returns:
        float64 [len(q)]; NaN without entries.

    Example:
        >>> percentiles([0, 10, 20], q=(50, 75)).tolist()
        [10.0, 15.0]
    """
    entries = np.asarray(errors, dtype=np.float64)
    entries = entries[~np.isnan(entries)]
    return np.percentile(entries, q) if entries.size else np.full(len(q), np.nan)


def auc_fr(errors: npt.ArrayLike, threshold: float) -> tuple[float, float]:
    """Area under the cumulative error curve up to a threshold, and failure rate, both in percent.

    The curve is the share of faces up to an error: a cumulative histogram of 10,000 bins from the smallest to
    the largest error, each bin at its left edge. Simpson's rule integrates the bins below the
    threshold; if their number is even, the result is the mean of the two ways to integrate the interval at one
    end by the trapezoid rule. A curve that ends below the threshold stays at one from there on. The area is
    divided by the threshold. The failure rate is the share of faces with an error above the threshold.

    The area is the mean of max(0, 1 - error / threshold) to about a hundredth of a percent. But a bin is a
    10,000th of the range of errors: a single face that is wrong by thousands of percent makes the
    area coarse.

    Args:
        errors: mean error of each face [F], percent, finite.
        threshold: upper end of the curve, percent.

    Returns:
        The area and the failure rate.

    Raises:
        ValueError: if there are no faces, errors are not finite, or the threshold is not above zero.

    Example:
        >>> area, failures = auc_fr([2, 4, 6, 12], threshold=8)  # area: mean of 6/8, 4/8, 2/8 and 0
        >>> round(area, 1), failures
        (37.5, 25.0)
    """
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("the errors must be a row of finite numbers that is not empty")
    if not 0 < threshold < np.inf:
        raise ValueError(f"the threshold must be a number above zero, not {threshold}")
    failures = 100 * float((values > threshold).mean())
    step = float(np.ptp(values)) / _CURVE_BINS
    if step <= 1e-12 * values.max():  # one step, narrower than any histogram resolves
        return 100 * max(0.0, 1 - float(values.min()) / threshold), failures
    counts, edges = np.histogram(values, bins=_CURVE_BINS)
    position = edges[:-1][edges[:-1] < threshold]
    curve = (counts.cumsum() / values.size)[: position.size]
    area = _simpson(curve, step)
    if curve.size == _CURVE_BINS:
        area += threshold - float(position[-1])
    return 100 * area / threshold, failures


def masked_mean(values: npt.ArrayLike, axis: int) -> FloatArray:
    """Mean of the entries that are not NaN along an axis; NaN, without a warning, if there are none.

    Example:
        >>> masked_mean([[1, np.nan], [3, np.nan]], axis=0).tolist()
        [2.0, nan]
    """
    mean: FloatArray = np.apply_along_axis(_mean, axis, np.asarray(values, dtype=np.float64))
    return mean


def _mean(values: Iterable[float], divisor: int | None = None) -> float:
    """Sum of the entries that are not NaN, exact before it is rounded, over their number or ``divisor``."""
    entries = [value for value in values if not math.isnan(value)]
    return math.fsum(entries) / (divisor or len(entries)) if entries else math.nan


def _simpson(curve: FloatArray, step: float) -> float:
    """Simpson's rule on equidistant points."""
    if curve.size < 2:
        return 0.0
    if curve.size % 2:
        inner = 4 * curve[1:-1:2].sum() + 2 * curve[2:-1:2].sum()
        return float(step / 3 * (curve[0] + inner + curve[-1]))
    first, last = curve[:2].mean() * step, curve[-2:].mean() * step
    return float(first + _simpson(curve[1:], step) + _simpson(curve[:-1], step) + last) / 2
