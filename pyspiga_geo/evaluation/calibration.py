"""Calibration of a model's uncertainty: coverage of its ellipses, and how well it recognises hidden landmarks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyspiga_geo.data.records import FloatArray
from pyspiga_geo.geometry import ellipse_radius


def mahalanobis(errors: npt.ArrayLike, covariance: npt.ArrayLike) -> FloatArray:
    """Mahalanobis distances of errors.

    Args:
        errors: true minus predicted positions [..., 2].
        covariance: [..., 2, 2].

    Returns:
        float64 [...].

    Raises:
        ValueError: if the shapes do not match, or a covariance has no inverse.

    Example:
        >>> mahalanobis([[3.0, 8.0]], [[[9.0, 0.0], [0.0, 16.0]]]).round(6).tolist()
        [2.236068]
    """
    error, matrix = np.asarray(errors, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    if error.shape[-1:] != (2,) or matrix.shape != (*error.shape, 2):
        raise ValueError(f"needs errors [..., 2] and covariance [..., 2, 2], not {error.shape} and {matrix.shape}")
    try:
        solved = np.linalg.solve(matrix, error[..., None])[..., 0]
    except np.linalg.LinAlgError as singular:
        raise ValueError("covariance must hold matrices that have an inverse") from singular
    return np.sqrt((error * solved).sum(axis=-1))


def ellipse_coverage(
    errors: npt.ArrayLike, covariance: npt.ArrayLike, probabilities: Sequence[float] = (0.5, 0.8, 0.95)
) -> dict[float, float]:
    """Percentage of the landmarks that lie in the ellipse of each probability (:func:`ellipse_radius`).

    Args:
        errors: true minus predicted positions [..., 2]; NaN where not annotated, which is left out.
        covariance: [..., 2, 2], in squared units of the errors.
        probabilities: of the ellipses.

    Returns:
        Percentage by probability: 50 for 0.5 and so on if the covariances are right. NaN without landmarks.

    Raises:
        ValueError: as in :func:`mahalanobis`, or if a probability is negative, or 1 or more.

    Example:
        >>> ellipse_coverage([[0.9, 0.0], [0.0, 1.5], [np.nan, np.nan]], [np.eye(2)] * 3)
        {0.5: 50.0, 0.8: 100.0, 0.95: 100.0}
    """
    known = np.isfinite(np.asarray(errors, dtype=np.float64)).all(axis=-1)
    distance = mahalanobis(errors, covariance)[known]
    if not distance.size:
        return dict.fromkeys(probabilities, np.nan)
    return {p: float(100 * np.mean(distance <= ellipse_radius(p))) for p in probabilities}


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Area under the ROC curve: how often a positive scores above a negative; ties count one half.

    Args:
        scores: any real numbers [N].
        positive: which of them should be high [N], bool.

    Returns:
        0 to 1, and 0.5 by chance; NaN unless there are positives and negatives.

    Raises:
        ValueError: if the shapes differ, or a score is NaN.

    Example:
        >>> auroc([0.1, 0.4, 0.4, 0.8], [False, False, True, True])
        0.875
    """
    from scipy.stats import rankdata

    score, high = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if score.shape != high.shape or score.ndim != 1:
        raise ValueError(f"needs scores [N] and positive [N], not {score.shape} and {high.shape}")
    if np.isnan(score).any():
        raise ValueError("scores must be numbers: one or more are NaN")
    many, others = int(high.sum()), int((~high).sum())
    if not many or not others:
        return float("nan")
    ranks = rankdata(score)[high].sum() - many * (many + 1) / 2
    return float(ranks / (many * others))


def surest_half_ratio(errors: npt.ArrayLike, sigma: npt.ArrayLike) -> float:
    """Mean error of the half of the landmarks with the smallest sigma, over that of the others.

    Args:
        errors: distances [...], in any unit; NaN where not annotated, which is left out.
        sigma: expected error of each landmark [...].

    Returns:
        Near 0 if sigma separates small errors from large ones, 1 if it is not informative; NaN with fewer than two
        landmarks.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> surest_half_ratio([1.0, 4.0, np.nan, 3.0, 1.0], [0.1, 0.9, 0.0, 0.3, 0.2])
        0.2857142857142857
    """
    error, spread = np.asarray(errors, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    if error.shape != spread.shape:
        raise ValueError(f"errors {error.shape} and sigma {spread.shape} must have the same shape")
    known = np.isfinite(error)
    error = error[known][np.argsort(spread[known], kind="stable")]
    half = len(error) // 2
    if not half:
        return float("nan")
    return float(error[:half].mean() / error[half:].mean())
