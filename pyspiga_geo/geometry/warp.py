"""Sampling a crop without aliasing.

A crop that is smaller than the part of the picture it shows is made in three steps, the first two along each axis
separately: average blocks of k pixels under a triangle of half-width k, mix each result with its two neighbours, and
sample bilinearly, which is a triangle of half-width k again. The filters are symmetric, so that nothing is shifted.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyspiga_geo.geometry.crops import invert_transform, transform_points


def warp_image(image: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """Sample the crop that an affine map describes, bilinearly, black outside the picture.

    Where the crop is smaller than the part of the picture it shows, by whatever factor, details too fine for it are
    averaged away first, by symmetric filters, which shift nothing. Otherwise the crop is the bilinear interpolation of
    the picture.

    Args:
        image: [C, H, W] float.
        matrix: [3, 3], picture pixels to crop pixels.
        resolution: side r of the crop in pixels.

    Returns:
        [C, r, r], on the image's device.

    Raises:
        ValueError: if the image or the matrix has another shape or type, or the matrix has no inverse.

    Example:
        >>> x = torch.arange(8.0).expand(1, 8, 8)
        >>> half = torch.tensor([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])  # pixels 0 and 1 become pixel 0
        >>> warp_image(x, half, 4)[0, 1, 1:3]
        tensor([2.5000, 4.5000])
    """
    if image.dim() != 3 or not image.numel() or not image.is_floating_point():
        raise ValueError(f"image must be float [C, H, W], got {image.dtype} {list(image.shape)}")
    if matrix.shape != (3, 3) or not matrix.isfinite().all() or not matrix[:2, :2].det():
        raise ValueError(f"matrix must be an affine map [3, 3] that has an inverse, got {matrix.tolist()}")
    to_picture = invert_transform(matrix.cpu().double())
    image, to_picture = _reduce(image, to_picture, resolution)
    height, width = image.shape[1:]
    # grid_sample counts from -1 to 1 over the whole picture, from edge to edge.
    size = torch.tensor([width, height], dtype=to_picture.dtype)
    to_unit = 2 * to_picture[:2] / size[:, None]
    x, y, start = to_unit[:, 0], to_unit[:, 1], to_unit[:, 2] + 1 / size - 1
    steps = torch.arange(resolution, dtype=start.dtype)[:, None]
    grid = (x * steps + start) + (y * steps)[:, None]
    return F.grid_sample(image[None], grid[None].to(image), align_corners=False)[0]


class _Axis(NamedTuple):
    """How an axis of the picture is reduced: into ``number`` blocks from pixel ``start`` on, which are then mixed."""

    start: int
    number: int
    block: int
    """Side of a block in pixels."""
    share: float
    """Of each neighbour in the mixture."""

    @property
    def stop(self) -> int:
        return self.start + self.number * self.block

    @property
    def origin(self) -> float:
        """Pixel that becomes the first of the reduced picture; mixing takes one off each end."""
        return self.start + (self.block - 1) / 2 + (self.block if self.share else 0)


def _reduce(image: Tensor, to_picture: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """What the crop shows of the picture, at about the crop's scale, and the map from crop pixels to it."""
    height, width = image.shape[1:]
    # How far crop pixels lie apart in the picture's x and y.
    factors = to_picture[:2, :2].norm(dim=1).tolist()
    if max(factors) <= 1:
        return image, to_picture
    # A mirrored crop (x to r - x) has the same corners, so it is made of the same blocks and mirrored exactly.
    corners = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]) * resolution
    seen = transform_points(corners.to(to_picture), to_picture)
    low, high = seen.amin(dim=0).tolist(), seen.amax(dim=0).tolist()
    x, y = map(_plan, factors, low, high, (width, height))
    reduced = F.pad(image, (-x.start, x.stop - width, -y.start, y.stop - height))
    if max(x.block, y.block) > 1:
        reduced = F.interpolate(reduced[None], (y.number, x.number), mode="bilinear", antialias=True)[0]
    reduced = _mix(_mix(reduced, 1, y.share), 2, x.share)
    sides = [x.block, y.block, 1]
    origin = to_picture.new_tensor([[0, 0, x.origin], [0, 0, y.origin], [0, 0, 0]])
    return reduced, (to_picture - origin) / to_picture.new_tensor(sides)[:, None]


def _plan(factor: float, low: float, high: float, length: int) -> _Axis:
    """How to shrink an axis of ``length`` pixels by a factor where the crop shows it from ``low`` to ``high``.

    With blocks of k > 1 pixels the three filters get the variance of one triangle whose half-width is the factor.
    With single pixels that would leave a third of the finest stripes at factor 1.5: they are mixed more.
    """
    block = max(1, min(round(factor / 2**0.5), length // 2))
    rest = factor / block
    share = (rest - 1) / 2 if block == 1 else (rest**2 - 2) / 12
    # The three filters together reach 3 blocks far. Beyond the picture all is black, and stays so from 2 blocks on.
    start = min(max(math.floor(low) - 3 * block, -2 * block), length - 1)
    stop = max(min(math.ceil(high) + 3 * block, length + 2 * block), 1)
    return _Axis(start, math.ceil((stop - start) / block), block, min(max(share, 0.0), 0.25))


def _mix(image: Tensor, dim: int, share: float) -> Tensor:
    """Each pixel but the first and the last with a share of both neighbours along an axis."""
    if not share:
        return image
    inner = image.size(dim) - 2
    mixed = image.narrow(dim, 1, inner) * (1 - 2 * share)
    return mixed.add_(image.narrow(dim, 0, inner), alpha=share).add_(image.narrow(dim, 2, inner), alpha=share)
