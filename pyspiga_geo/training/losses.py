"""The losses of SPIGA. Masked landmarks do not count; positions are in crop units (pixel index / resolution)."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyspiga_geo.geometry import DEGREES_OF_FREEDOM
from pyspiga_geo.training.distributed import sum_over_processes, world_size

PERCENT = 100.0
"""Coordinate losses count in percent of the crop's side."""

LINEAR_FROM = 0.25
"""Where smooth L1 turns linear, in percent of the crop's side: a tenth of what annotators differ by."""

DEGREES_PER_UNIT = 180 / math.pi
"""Pose losses count in degrees; a translation counts as the arc it makes at unit distance."""


def coordinate_loss(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Smooth L1 between positions [B, L, 2], in percent of the crop, mean over unmasked landmarks [B, L]."""
    each = F.smooth_l1_loss(PERCENT * predicted, PERCENT * target, reduction="none", beta=LINEAR_FROM)
    return masked_mean(each.mean(dim=-1), mask)


def pose_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of poses [B, 6], in degrees; faces whose target is NaN do not count."""
    known = target.isfinite().all(dim=1)
    difference = predicted - torch.where(known[:, None], target, 0)  # a NaN here would reach the gradient
    difference = torch.cat([difference[:, :3], DEGREES_PER_UNIT * difference[:, 3:]], dim=1)
    return masked_mean(difference.square().mean(dim=1), known)


class _AdaptiveWing(torch.autograd.Function):
    """Value and slope in one go: left to autograd, the powers would take 40 % of a training step."""

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
        (slope,) = ctx.saved_tensors
        return slope * grad[0], None, None, None, None, None


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

    with A and C such that value and slope meet at theta. The target gets no gradient.
    """
    single = torch.promote_types(predicted.dtype, torch.float32)
    loss: Tensor = _AdaptiveWing.apply(predicted.to(single), target.to(single), alpha, omega, epsilon, theta)
    return loss


def heatmap_loss(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Adaptive wing loss of heatmaps [B, K, h, w], mean over pixels and over unmasked maps [B, K]."""
    return masked_mean(adaptive_wing_loss(predicted, target).mean(dim=(2, 3)), mask)


def cascade_loss(steps: list[Tensor], target: Tensor, mask: Tensor) -> Tensor:
    """L_CR: the coordinate loss summed over the positions [B, L, 2] after each step."""
    return torch.stack([coordinate_loss(pos, target, mask) for pos in steps]).sum()


def negative_log_likelihood(
    predicted: Tensor, covariance: Tensor, target: Tensor, mask: Tensor, dof: float = DEGREES_OF_FREEDOM
) -> Tensor:
    r"""Negative log-likelihood [B, L] of positions [B, L, 2] under a bivariate Student t about the predicted ones.

    .. math::
        \ln \frac{2 \pi (\nu - 2)}{\nu} + \tfrac{1}{2} \ln |\Sigma|
        + \tfrac{\nu + 2}{2} \ln\left(1 + \frac{d^2}{\nu - 2}\right),
        \qquad d^2 = (y - \hat y)^T \Sigma^{-1} (y - \hat y)

    with the covariance Sigma [B, L, 2, 2], not the scale matrix, which is smaller by (nu - 2) / nu. Targets whose mask
    [B, L] is False may be NaN.
    """
    squared, determinant = squared_mahalanobis(torch.where(mask[..., None], target - predicted, 0), covariance)
    tail = (dof / 2 + 1) * torch.log1p(squared / (dof - 2))
    constant = math.log(2 * math.pi * (dof - 2) / dof)
    return constant + determinant.log() / 2 + tail


def squared_mahalanobis(error: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Squared Mahalanobis distances [...] of errors [..., 2] by covariances [..., 2, 2], and their determinants."""
    x, y = error.unbind(dim=-1)
    xx, xy, yy = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    determinant = xx * yy - xy.square()
    return (yy * x.square() - 2 * xy * x * y + xx * y.square()) / determinant, determinant


def likeliest_spread(squared: Tensor, dof: float = DEGREES_OF_FREEDOM) -> Tensor:
    """By what all standard deviations must be multiplied for squared Mahalanobis distances [N] to be most likely.

    They are those of a bivariate Student t; found by expectation and maximisation. 1 where there are no distances.

    Example:
        >>> likeliest_spread(torch.full((5,), 2.0)).item()  # a Gaussian's would be 1
        1.1547005...
    """
    variance = squared.new_ones(())
    for _ in range(200 if len(squared) else 0):
        variance = ((dof + 2) * squared / (dof - 2 + squared / variance)).mean() / 2
    return variance.sqrt()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where mask is true; 0 where there is none.

    Of W processes each gives W times its share of the sum over the count of all: their mean is that of the whole
    batch, and the engine takes the mean of their gradients.
    """
    count = sum_over_processes(mask.sum())
    return world_size() * torch.where(mask, values, 0).sum() / count.clamp(min=1)
