"""Boxes, square crops and the maps between picture and crop.

Positions are pixel indices: (0, 0) is the centre of the first pixel. A crop of resolution r is described by
the 3 x 3 matrix that takes picture pixels to crop pixels; divide by r for normalised crop coordinates, the ``pos``
of the models.

The centre of a crop is pixel index (r / 2, r / 2), 0.5 in normalised crop coordinates, as in the authors' code:
:func:`square_crop` puts the centre of the box there, the camera its principal point, and crops are turned and mirrored
about it. A mirror takes x to r - x, or 1 - x. The middle of the pixels, (r - 1) / 2, lies half a pixel before it.
"""

import torch
from torch import Tensor


def points_to_box(points: Tensor) -> Tensor:
    """Tight box x, y, w, h [..., 4] of points [..., L, 2]; NaN points are left out, and of none the box is NaN."""
    low = torch.where(points.isnan(), torch.inf, points).amin(dim=-2)
    high = torch.where(points.isnan(), -torch.inf, points).amax(dim=-2)
    box = torch.cat([low, high - low], dim=-1)
    return torch.where(box.isfinite(), box, torch.nan)


def square_crop(box: Tensor, resolution: int, scale: float = 1.6, turn: Tensor | None = None) -> Tensor:
    """Map from the picture to the square crop around a box.

    The centre of the box becomes that of the crop, pixel index (r / 2, r / 2). The crop's side is ``scale`` x the
    longer side of the box.

    Args:
        box: x, y, w, h [..., 4] in picture pixels.
        resolution: side r of the crop in crop pixels.
        scale: side of the crop over longer side of the box.
        turn: degrees [...] by which what is in the box is turned clockwise about its centre, as seen in the picture;
            the crop shows it upright. Default: not turned.

    Returns:
        [..., 3, 3], picture pixels to crop pixels (homogeneous columns).

    Raises:
        ValueError: for a box that is not finite or has no size.

    Example:
        >>> box = torch.tensor([10.0, 20.0, 50.0, 50.0])
        >>> crop = square_crop(box, 64, turn=torch.tensor(90.0))
        >>> transform_points(torch.tensor([[60.0, 45.0]]), crop)  # the right edge's middle is the top's
        tensor([[32.0000, 12.0000]])
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
    return matrix if turn is None else _turned(matrix, turn, resolution / 2)


def _turned(matrix: Tensor, turn: Tensor, centre: float) -> Tensor:
    """Maps to crops [..., 3, 3] that are then turned anticlockwise by degrees [...] about (centre, centre)."""
    angle = turn.to(matrix).deg2rad()
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    shift = centre * (1 - cos - sin), centre * (1 - cos + sin)
    rows = [cos, sin, shift[0], -sin, cos, shift[1], zero, zero, torch.ones_like(angle)]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3)) @ matrix


def transform_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Apply affine maps [..., 3, 3] to points [..., L, 2]."""
    return points @ matrix[..., :2, :2].mT + matrix[..., None, :2, 2]


def invert_transform(matrix: Tensor) -> Tensor:
    """Inverse of affine maps [..., 3, 3]: crop pixels back to picture pixels."""
    return torch.linalg.inv(matrix)
