"""The losses of SPIGA. Masked landmarks are left out; positions are in normalised crop coordinates (index /
resolution).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyspiga_geo.geometry import DEGREES_OF_FREEDOM
from pyspiga_geo.training.distributed import sum_over_processes, world_size

PERCENT = 100.0
"""Coordinate losses are in percent of the crop's side."""

LINEAR_FROM = 0.25
"""Error from which smooth L1 is linear, in percent of the crop's side: a tenth of the difference between annotators."""

DEGREES_PER_UNIT = 180 / math.pi
"""Pose losses are in degrees; a translation counts as the arc it makes at unit distance."""


def coordinate_loss(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Smooth L1 between positions, in percent of the crop.

    Args:
        predicted: [B, L, 2], normalised crop coordinates.
        target: [B, L, 2].
        mask: [B, L], False for landmarks that are left out.

    Returns:
        Mean over the landmarks [].

    Example:
        >>> coordinate_loss(torch.full((1, 5, 2), 0.51), torch.full((1, 5, 2), 0.5), torch.ones(1, 5, dtype=torch.bool))
        tensor(0.8750)
    """
    each = F.smooth_l1_loss(PERCENT * predicted, PERCENT * target, reduction="none", beta=LINEAR_FROM)
    return masked_mean(each.mean(dim=-1), mask)


def pose_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of poses, in degrees.

    Args:
        predicted: [B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape.
        target: [B, 6]; faces with NaN are left out.

    Returns:
        Mean over the faces [].

    Example:
        >>> pose_loss(torch.tensor([[3.0, 0, 0, 0, 0, 4]]), torch.tensor([[0.0, 0, 0, 0, 0, 4]]))  # 9 / 6
        tensor(1.5000)
    """
    known = target.isfinite().all(dim=1)
    difference = predicted - torch.where(known[:, None], target, 0)  # a NaN here would reach the gradient
    difference = torch.cat([difference[:, :3], DEGREES_PER_UNIT * difference[:, 3:]], dim=1)
    return masked_mean(difference.square().mean(dim=1), known)


class _AdaptiveWing(torch.autograd.Function):
    """Value and slope at once: by autograd, the powers would take 40 % of a training step."""

    @staticmethod
    def forward(
        ctx: Any,
        predicted: Tensor,
        target: Tensor,
        alpha: float,
        omega: float,
        epsilon: float,
        theta: float,
    ) -> Tensor:
        difference = (predicted - target) / epsilon
        gap = difference.abs().clamp_(min=1e-6)  # where both are equal the slope is 0, not 0 / 0
        near = gap.clamp(max=theta / epsilon)  # beyond theta the loss is its tangent there
        power = alpha - target
        bent = near**power
        slope = power.mul_(bent).div_((bent + 1).mul_(near)).mul_(omega)
        value = torch.log1p(bent).mul_(omega).add_(slope * (gap - near))
        ctx.save_for_backward(slope.mul_(difference.sign_()).div_(epsilon))
        return value

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (slope,), (outer,) = ctx.saved_tensors, grad
        return slope * outer, None, None, None, None, None


def adaptive_wing_loss(
    predicted: Tensor,
    target: Tensor,
    alpha: float = 2.1,
    omega: float = 14.0,
    epsilon: float = 1.0,
    theta: float = 0.5,
) -> Tensor:
    r"""Adaptive wing loss between heatmaps in 0..1, element by element (Wang et al., ICCV 2019, equation 3).

    .. math::
        \omega \ln(1 + |(y - \hat y) / \epsilon|^{\alpha - y}) \text{ if } |y - \hat y| < \theta, \text{ else }
        A |y - \hat y| - C

    with A and C such that value and slope are continuous at theta. The target gets no gradient.

    Args:
        predicted: :math:`\hat y`, any shape.
        target: y, of the same shape.
        alpha: exponent where the target is 0.
        omega: scale of the loss.
        epsilon: scale of the error.
        theta: error from which the loss is linear.

    Returns:
        The loss of each element.

    Example:
        >>> adaptive_wing_loss(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 0.0, 1.0])).round(decimals=2)
        tensor([0.0000, 2.9400, 0.0000])
    """
    single = torch.promote_types(predicted.dtype, torch.float32)
    loss: Tensor = _AdaptiveWing.apply(predicted.to(single), target.to(single), alpha, omega, epsilon, theta)
    return loss


def heatmap_loss(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Adaptive wing loss of heatmaps.

    Args:
        predicted: [B, K, h, w], 0..1.
        target: [B, K, h, w], 0..1.
        mask: [B, K], False for maps that are left out.

    Returns:
        Mean over pixels and maps [].

    Example:
        >>> maps = torch.rand(2, 5, 8, 8)
        >>> heatmap_loss(maps, maps, torch.ones(2, 5, dtype=torch.bool)) < 1e-6
        tensor(True)
    """
    return masked_mean(adaptive_wing_loss(predicted, target).mean(dim=(2, 3)), mask)


def cascade_loss(steps: list[Tensor], target: Tensor, mask: Tensor) -> Tensor:
    """L_CR: the coordinate loss summed over the steps.

    Args:
        steps: positions [B, L, 2] after each step.
        target: [B, L, 2].
        mask: [B, L], False for landmarks that are left out.

    Returns:
        The sum [].

    Example:
        >>> steps = [torch.full((1, 5, 2), 0.51), torch.full((1, 5, 2), 0.5)]
        >>> cascade_loss(steps, torch.full((1, 5, 2), 0.5), torch.ones(1, 5, dtype=torch.bool))
        tensor(0.8750)
    """
    return torch.stack([coordinate_loss(pos, target, mask) for pos in steps]).sum()


def negative_log_likelihood(
    predicted: Tensor, covariance: Tensor, target: Tensor, mask: Tensor, dof: float = DEGREES_OF_FREEDOM
) -> Tensor:
    r"""Negative log-likelihood of positions under a bivariate Student t distribution about the predicted ones.

    .. math::
        \ln \frac{2 \pi (\nu - 2)}{\nu} + \tfrac{1}{2} \ln |\Sigma|
        + \tfrac{\nu + 2}{2} \ln\left(1 + \frac{d^2}{\nu - 2}\right),
        \qquad d^2 = (y - \hat y)^T \Sigma^{-1} (y - \hat y)

    with the covariance Sigma, not the scale matrix, which is smaller by (nu - 2) / nu.

    Args:
        predicted: [B, L, 2], the centres.
        covariance: [B, L, 2, 2].
        target: [B, L, 2], the true positions; NaN is allowed where the mask is False.
        mask: [B, L], False for landmarks that are left out.
        dof: degrees of freedom nu.

    Returns:
        [B, L]; where the mask is False that of the centre.

    Example:
        >>> pos, covariance = torch.zeros(1, 2, 2), torch.eye(2).expand(1, 2, 2, 2)
        >>> negative_log_likelihood(pos, covariance, pos, torch.ones(1, 2, dtype=torch.bool))  # ln(2 pi 6 / 8)
        tensor([[1.5502, 1.5502]])
    """
    squared, determinant = squared_mahalanobis(torch.where(mask[..., None], target - predicted, 0), covariance)
    tail = (dof / 2 + 1) * torch.log1p(squared / (dof - 2))
    constant = math.log(2 * math.pi * (dof - 2) / dof)
    return constant + determinant.log() / 2 + tail


def squared_mahalanobis(error: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Squared Mahalanobis distances of errors, and the determinants of their covariances.

    Args:
        error: [..., 2].
        covariance: [..., 2, 2].

    Returns:
        Squared distances [...] and determinants [...].

    Example:
        >>> squared_mahalanobis(torch.tensor([2.0, 0.0]), torch.diag(torch.tensor([4.0, 1.0])))
        (tensor(1.), tensor(4.))
    """
    x, y = error.unbind(dim=-1)
    xx, xy, yy = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    determinant = xx * yy - xy.square()
    return (yy * x.square() - 2 * xy * x * y + xx * y.square()) / determinant, determinant


def likeliest_spread(squared: Tensor, dof: float = DEGREES_OF_FREEDOM) -> Tensor:
    """Factor of all standard deviations under which squared Mahalanobis distances are most likely.

    The distribution is a bivariate Student t; the factor is found by expectation maximisation.

    Args:
        squared: squared distances [N].
        dof: degrees of freedom.

    Returns:
        The factor []; 1 without distances.

    Example:
        >>> likeliest_spread(torch.full((5,), 2.0)).item()  # for a Gaussian it would be 1
        1.1547005...
    """
    variance = squared.new_ones(())
    for _ in range(200 if len(squared) else 0):
        variance = ((dof + 2) * squared / (dof - 2 + squared / variance)).mean() / 2
    return variance.sqrt()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true.

    With W processes each returns W times its part of the sum over the count of all: their mean is that of the whole
    batch, and the engine takes the mean of their gradients.

    Args:
        values: any shape.
        mask: of the same shape, bool.

    Returns:
        The mean []; 0 if the mask is all false.

    Example:
        >>> masked_mean(torch.tensor([1.0, 3.0, 100.0]), torch.tensor([True, True, False]))
        tensor(2.)
    """
    count = sum_over_processes(mask.sum())
    return world_size() * torch.where(mask, values, 0).sum() / count.clamp(min=1)
