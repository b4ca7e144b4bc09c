"""Boxes, square crops and the maps between picture and crop.

Positions are pixel indices: (0, 0) is the centre of the first pixel. A crop of resolution r is described by
the 3 x 3 matrix that takes picture pixels to crop pixels; divide by r for the ``pos`` of the models.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def points_to_box(points: Tensor) -> Tensor:
    """Tight box x, y, w, h [..., 4] of points [..., L, 2]; NaN points are left out."""
    low = torch.where(points.isnan(), torch.inf, points).amin(dim=-2)
    high = torch.where(points.isnan(), -torch.inf, points).amax(dim=-2)
    return torch.cat([low, high - low], dim=-1)


def square_crop(box: Tensor, resolution: int, scale: float = 1.6) -> Tensor:
    """Map from the picture to the square crop around a box.

    The crop is centred on the box, its side is ``scale`` x the longer side of the box.

    Args:
        box: x, y, w, h [..., 4] in picture pixels.
        resolution: side of the crop in crop pixels.
        scale: side of the crop over longer side of the box.

    Returns:
        [..., 3, 3], picture pixels to crop pixels (homogeneous columns).

    Raises:
        ValueError: for a box that is not finite or has no size.
    """
    if not (box.isfinite().all() and (box[..., 2:] > 0).all()):
        raise ValueError(f"a box must be finite with positive width and height, got {box.tolist()}")
    box = box if box.is_floating_point() else box.to(torch.get_default_dtype())
    side = scale * box[..., 2:].amax(dim=-1)
    corner = box[..., :2] + (box[..., 2:] - side[..., None]) / 2
    zoom = resolution / side
    matrix = torch.zeros(*box.shape[:-1], 3, 3, dtype=box.dtype, device=box.device)
    matrix[..., 0, 0] = matrix[..., 1, 1] = zoom
    matrix[..., :2, 2] = -corner * zoom[..., None]
    matrix[..., 2, 2] = 1
    return matrix


def transform_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Apply affine maps [..., 3, 3] to points [..., L, 2]."""
    return points @ matrix[..., :2, :2].mT + matrix[..., None, :2, 2]


def invert_transform(matrix: Tensor) -> Tensor:
    """Inverse of affine maps [..., 3, 3]: crop pixels back to picture pixels."""
    return torch.linalg.inv(matrix)


def warp_image(image: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """Sample the crop that a map describes, bilinear, black outside of the picture.

    Where the crop is smaller than the part of the picture it shows, the picture is first reduced by area
    averaging, so that large faces do not alias.

    Args:
        image: [C, H, W] float.
        matrix: [3, 3], picture pixels to crop pixels.
        resolution: side of the crop.

    Returns:
        [C, resolution, resolution].
    """
    to_picture = invert_transform(matrix.double())
    factor = min(math.floor(to_picture[:2, :2].det().abs().sqrt().item()), max(image.shape[-2:]))
    if factor > 1:
        image, to_picture = _reduce_around(image, to_picture, resolution, factor)
    height, width = image.shape[-2:]
    steps = torch.arange(resolution, dtype=to_picture.dtype)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    picture = transform_points(grid.reshape(-1, 2), to_picture).reshape(1, resolution, resolution, 2)
    size = torch.tensor([width, height], dtype=picture.dtype)
    normalised = ((2 * picture + 1) / size - 1).to(image)
    return F.grid_sample(image[None], normalised, align_corners=False)[0]


def _reduce_around(image: Tensor, to_picture: Tensor, resolution: int, factor: int) -> tuple[Tensor, Tensor]:
    """Average ``factor`` x ``factor`` blocks of the part of the picture that the crop shows."""
    corners = torch.tensor([[0, 0, resolution, resolution], [0, resolution, 0, resolution]]).mT.to(to_picture)
    seen = transform_points(corners, to_picture)
    height, width = image.shape[-2:]
    left, top = (int(v) for v in (seen.amin(dim=0) - factor).floor().clamp(min=0))
    right, bottom = (int(v) for v in (seen.amax(dim=0) + factor).ceil().clamp(min=0))
    part = image[:, top : min(bottom, height), left : min(right, width)]
    if not part.numel():
        part = image.new_zeros(image.shape[0], 1, 1)
    part = F.pad(part, (0, -part.shape[2] % factor, 0, -part.shape[1] % factor))
    reduced = F.avg_pool2d(part[None], factor)[0]
    to_reduced = torch.eye(3, dtype=to_picture.dtype)
    to_reduced[:2] /= factor
    # The centre of a block of k pixels that starts at pixel s is pixel s + (k - 1) / 2.
    to_reduced[:2, 2] = -(torch.tensor([left, top], dtype=to_picture.dtype) + (factor - 1) / 2) / factor
    return reduced, to_reduced @ to_picture
