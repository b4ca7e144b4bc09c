"""How positions scatter: covariances, how maps change them, and the ellipses that hold a share of the positions.

Positions scatter with heavier tails than a Gaussian: a few are far off. So a covariance here is that of a bivariate
Student t distribution with :data:`DEGREES_OF_FREEDOM`, in which the squared Mahalanobis distance d^2 (by the
covariance) exceeds r^2 with probability (1 + r^2 / (nu - 2))^(-nu / 2).
"""

import math

import torch
from torch import Tensor

DEGREES_OF_FREEDOM = 8.0
"""nu of the t distribution. Infinity would be a Gaussian; from 2 down there is no covariance.

On faces kept out of the training of the compact model, 95 % of the landmarks lie within 2.43 times the distance within
which half of them lie. With 8 degrees of freedom this is 2.43, with 6 it is 2.57, and of a Gaussian 2.08.
"""


def ellipse_radius(probability: float) -> float:
    """Radius in standard deviations of the ellipse that holds a position with a probability.

    The ellipse is the set of points whose Mahalanobis distance from the landmark, by its covariance, is at most the
    radius: along each principal axis it reaches as many standard deviations.

    Raises:
        ValueError: for a probability that is not within 0..1, 1 left out.

    Example:
        >>> [round(ellipse_radius(p), 2) for p in (0.5, 0.8, 0.95)]
        [1.07, 1.72, 2.59]
    """
    if not 0 <= probability < 1:
        raise ValueError(f"probability must be within 0..1, 1 left out, got {probability}")
    nu = DEGREES_OF_FREEDOM
    return math.sqrt((nu - 2) * ((1 - probability) ** (-2 / nu) - 1))


def transform_covariance(covariance: Tensor, matrix: Tensor) -> Tensor:
    """Covariances [..., L, 2, 2] of points that affine maps [..., 3, 3] take elsewhere: J C J^T with their linear part.

    Example:
        >>> import torch
        >>> twice = torch.diag(torch.tensor([2.0, 2.0, 1.0]))
        >>> transform_covariance(torch.eye(2).expand(68, 2, 2), twice)[0].tolist()
        [[4.0, 0.0], [0.0, 4.0]]
    """
    linear = matrix[..., None, :2, :2]
    return linear @ covariance @ linear.mT


def rms_deviation(covariance: Tensor) -> Tensor:
    """Standard deviation per axis [...] of covariances [..., 2, 2]: the root of half of the trace.

    Example:
        >>> import torch
        >>> rms_deviation(torch.tensor([[8.0, 3.0], [3.0, 10.0]])).item()
        3.0
    """
    return torch.sqrt(covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1))
