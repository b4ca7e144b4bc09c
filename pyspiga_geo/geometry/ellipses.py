"""Uncertain positions: covariances, how affine maps change them, and ellipses of a given probability.

Errors of positions have heavier tails than a Gaussian: a few are large. So a covariance here is that of a bivariate
Student t distribution with :data:`DEGREES_OF_FREEDOM`, under which the squared Mahalanobis distance d^2 (by the
covariance) exceeds r^2 with probability (1 + r^2 / (nu - 2))^(-nu / 2).
"""

import math

import torch
from torch import Tensor

DEGREES_OF_FREEDOM = 8.0
"""nu of the t distribution. Infinity would be a Gaussian; for nu of 2 or less there is no covariance.

On faces not used to train the compact model, 95 % of the landmarks lie within 2.43 times the distance within which
half of them lie. With 8 degrees of freedom this ratio is 2.43, with 6 it is 2.57, and for a Gaussian 2.08.
"""


def ellipse_radius(probability: float) -> float:
    """Radius, in standard deviations, of the ellipse that holds a position with a given probability.

    The ellipse is the set of points whose Mahalanobis distance from the landmark, by its covariance, is at most the
    radius: along each principal axis it extends that many standard deviations.

    Args:
        probability: 0 or more and less than 1.

    Returns:
        The radius.

    Raises:
        ValueError: if the probability is out of range.

    Example:
        >>> [round(ellipse_radius(p), 2) for p in (0.5, 0.8, 0.95)]
        [1.07, 1.72, 2.59]
    """
    if not 0 <= probability < 1:
        raise ValueError(f"probability must be within 0..1, 1 left out, got {probability}")
    nu = DEGREES_OF_FREEDOM
    return math.sqrt((nu - 2) * ((1 - probability) ** (-2 / nu) - 1))


def transform_covariance(covariance: Tensor, matrix: Tensor) -> Tensor:
    """Covariances of points after affine maps: J C J^T with their linear part J.

    Args:
        covariance: [..., L, 2, 2].
        matrix: [..., 3, 3].

    Returns:
        [..., L, 2, 2].

    Example:
        >>> import torch
        >>> twice = torch.diag(torch.tensor([2.0, 2.0, 1.0]))
        >>> transform_covariance(torch.eye(2).expand(68, 2, 2), twice)[0].tolist()
        [[4.0, 0.0], [0.0, 4.0]]
    """
    linear = matrix[..., None, :2, :2]
    return linear @ covariance @ linear.mT


def rms_deviation(covariance: Tensor) -> Tensor:
    """Standard deviation per axis: the root of half the trace of a covariance.

    Args:
        covariance: [..., 2, 2].

    Returns:
        [...].

    Example:
        >>> import torch
        >>> rms_deviation(torch.tensor([[8.0, 3.0], [3.0, 10.0]])).item()
        3.0
    """
    return torch.sqrt(covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1))
