"""The likeliest shape: what the landmarks that are sure say about those that are not."""

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from pyspiga_geo.nn.checks import check_shape

SIMILARITIES = 4
"""Shift along x and y, scale and rotation: a shape in the plane is known up to these."""

LOOSE = 0.1
"""Standard deviation of those four about the weighted alignment, over the size of the shape: almost any."""

UNKNOWN = 1e6
"""Variance of shapes of which nothing is known, over the square of their size."""

VISIBLE, HIDDEN = 0.5, 4.0
"""Factors of the covariances; chosen on validation faces, where half or twice as much makes little difference."""


class ShapePrior(nn.Module):
    r"""Posterior mean of landmarks that were found with uncertainty, under a Gaussian distribution of shapes.

    Landmark i was found at p_i with covariance C_i. Up to a similarity, a shape is m + V b + e: a mean, modes V
    (principal components) with b ~ N(0, diag(lambda)), and a residual e ~ N(0, r I). The similarity T takes the
    landmarks nearest to m, each weighted by the inverse of its variance. With d = T p - m, with N the block diagonal
    matrix of the C_i in the frame of m plus r I, and with columns of V for small similarities,

    .. math::
        b = (\Lambda^{-1} + V^T N^{-1} V)^{-1} V^T N^{-1} d, \qquad
        x = T^{-1} ( m + V b + r N^{-1} (d - V b) ) .

    This is exact inference in a Gaussian Markov random field over the complete graph of the landmarks: one that is seen
    well stays where it is, and one that is hidden follows from the others.

    The C_i are the given covariances times 0.5 for a landmark that is visible and times 4 for one that is hidden.
    Covariances of single landmarks do not say that the errors of neighbours are alike, those of hidden ones above all.

    Until :meth:`set_shapes` is called all shapes are equally likely, and landmarks stay where they are.

    Args:
        num_landmarks: L, three or more.
        num_modes: K, at most 2 L - 4: the others are the similarities.

    Shapes:
        - **pos**: ``[B, L, 2]``, (x, y) in any unit
        - **covariance**: ``[B, L, 2, 2]``, in that unit squared, positive definite
        - **visible**: ``[B, L]``, probabilities; None: all are visible
        - **output**: ``[B, L, 2]``

    The buffers ``mean`` [L, 2], ``modes`` [L, 2, K], ``variances`` [K] and ``residual`` [] stay in single precision or
    better.

    Raises:
        ValueError: if ``num_landmarks`` or ``num_modes`` is out of range, or an input has another shape.

    Example:
        >>> square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        >>> prior = ShapePrior(4, num_modes=1)
        >>> prior.set_shapes(square, torch.tensor([[[1.0], [0]], [[0], [0]], [[0], [0]], [[0], [0]]]), [1e-4], 1e-4)
        >>> found = torch.tensor([[[10.0, 10], [20, 10], [25, 20], [10, 20]]])  # the third is off, and known to be
        >>> covariance = torch.eye(2) * torch.tensor([0.01, 0.01, 100, 0.01])[:, None, None]
        >>> prior(found, covariance[None])[0, 2].round()
        tensor([20., 20.])
    """

    mean: Tensor
    modes: Tensor
    variances: Tensor
    residual: Tensor

    def __init__(self, num_landmarks: int, num_modes: int) -> None:
        super().__init__()
        most = 2 * num_landmarks - SIMILARITIES
        if num_landmarks < 3:
            raise ValueError(f"num_landmarks must be 3 or more, got {num_landmarks}")
        if not 0 <= num_modes <= most:
            raise ValueError(f"num_modes must be in 0..{most} with {num_landmarks} landmarks, got {num_modes}")
        self.num_landmarks = num_landmarks
        self.num_modes = num_modes
        turn = torch.arange(num_landmarks) * (2 * math.pi / num_landmarks)
        self.register_buffer("mean", torch.stack([turn.cos(), turn.sin()], dim=-1))  # any shape that is not a point
        self.register_buffer("modes", torch.zeros(num_landmarks, 2, num_modes))
        self.register_buffer("variances", torch.ones(num_modes))
        self.register_buffer("residual", torch.full((), UNKNOWN))

    @torch.no_grad()
    def set_shapes(self, mean: Any, modes: Any, variances: Any, residual: Any) -> None:
        """Set the distribution of shapes, in any unit.

        Args:
            mean: [L, 2].
            modes: [L, 2, K], orthonormal.
            variances: [K], along the modes.
            residual: variance in every other direction.

        Raises:
            ValueError: if one has another shape.
        """
        values = {"mean": mean, "modes": modes, "variances": variances, "residual": residual}
        tensors = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in values.items()}
        for name, value in tensors.items():
            check_shape(name, value, getattr(self, name).shape)
        centre = tensors["mean"].mean(dim=0)
        size = (tensors["mean"] - centre).square().sum(dim=-1).mean().sqrt()
        tensors["mean"] = (tensors["mean"] - centre) / size  # a root mean square distance of 1 from the centre
        tensors["variances"], tensors["residual"] = tensors["variances"] / size**2, tensors["residual"] / size**2
        for name, value in tensors.items():
            getattr(self, name).copy_(value)

    def forward(self, pos: Tensor, covariance: Tensor, visible: Tensor | None = None) -> Tensor:
        """Compute the posterior mean; the class lists the shapes.

        The result is in single precision or better, whatever that of the input.

        Args:
            pos: where each landmark was found.
            covariance: how uncertain that is.
            visible: probability that the landmark is visible.
        """
        check_shape("pos", pos, ["B", self.num_landmarks, 2])
        check_shape("covariance", covariance, [pos.size(0), self.num_landmarks, 2, 2])
        if visible is None:
            visible = pos.new_ones(pos.shape[:2])
        check_shape("visible", visible, [pos.size(0), self.num_landmarks])
        dtype = torch.promote_types(pos.dtype, self.mean.dtype)
        with torch.autocast(pos.device.type, enabled=False):
            pos, covariance, visible = pos.to(dtype), covariance.to(dtype), visible.to(dtype)
            factor = torch.lerp(torch.full_like(visible, HIDDEN), torch.full_like(visible, VISIBLE), visible)
            return self._posterior(pos, factor[..., None, None] * covariance)

    def _posterior(self, pos: Tensor, covariance: Tensor) -> Tensor:
        mean = self.mean.to(pos)
        modes = torch.cat([_similarities(mean), self.modes.to(pos)], dim=-1)
        variances = torch.cat([pos.new_full((SIMILARITIES,), LOOSE**2 * len(mean)), self.variances.to(pos)])
        weight = 1 / covariance.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        weight = (weight / weight.sum(dim=1, keepdim=True))[..., None]
        centre, middle = (weight * pos).sum(dim=1, keepdim=True), (weight * mean).sum(dim=1, keepdim=True)
        # T as a matrix [[a, -b], [b, a]]: the product with a + ib.
        here, there = pos - centre, mean - middle
        tiny = torch.finfo(pos.dtype).tiny  # all landmarks in one place stay there
        extent = (weight * here.square()).sum(dim=(1, 2)).clamp(min=tiny)
        a = (weight * here * there).sum(dim=(1, 2)) / extent
        b = (weight[..., 0] * (here[..., 0] * there[..., 1] - here[..., 1] * there[..., 0])).sum(dim=1) / extent
        turn = torch.stack([torch.stack([a, -b], dim=-1), torch.stack([b, a], dim=-1)], dim=-2)[:, None]
        back = turn.mT / (a.square() + b.square()).clamp(min=tiny)[:, None, None, None]
        aligned = (turn @ here[..., None])[..., 0] + middle - mean
        noise = turn @ covariance @ turn.mT + self.residual.to(pos) * torch.eye(2, dtype=pos.dtype, device=pos.device)
        precision = _inverse(noise)
        informed = (precision @ modes).flatten(1, 2)  # N^-1 V [B, 2 L, K]
        flat = modes.flatten(0, 1)
        system = flat.mT @ informed + torch.diag(1 / variances)
        weights = torch.linalg.solve(system, informed.mT @ aligned.flatten(1)[..., None])  # [B, K, 1]
        within = (flat @ weights).view_as(aligned)
        without = self.residual.to(pos) * (precision @ (aligned - within)[..., None])[..., 0]
        moved = mean + within + without - middle
        return (back @ moved[..., None])[..., 0] + centre

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:
        before = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, value in before.items():  # not rounded to half precision and back
            now = getattr(self, name)
            if not value.is_meta:
                setattr(self, name, value.to(now.device, torch.promote_types(now.dtype, torch.float32)))
        return self


def _similarities(mean: Tensor) -> Tensor:
    """Orthonormal directions [L, 2, 4] in which a centred shape moves as it is shifted, scaled and turned a little."""
    one, nothing = torch.ones_like(mean[:, 0]), torch.zeros_like(mean[:, 0])
    x, y = mean.unbind(dim=-1)
    moves = torch.stack([one, nothing, nothing, one, x, y, -y, x], dim=-1).view(len(mean), SIMILARITIES, 2).mT
    return moves / moves.square().sum(dim=(0, 1)).sqrt()


def _inverse(matrices: Tensor) -> Tensor:
    """Inverses of symmetric matrices [..., 2, 2]."""
    xx, xy, yy = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    adjoint = torch.stack([torch.stack([yy, -xy], dim=-1), torch.stack([-xy, xx], dim=-1)], dim=-2)
    return adjoint / (xx * yy - xy.square())[..., None, None]
