"""Boxes, square crops and the maps between picture and crop.

Positions are pixel indices: (0, 0) is the centre of the first pixel. A crop of resolution r is described by
the 3 x 3 matrix that maps picture pixels to crop pixels; divide by r for normalised crop coordinates, the ``pos``
of the models.

The centre of a crop is pixel index (r / 2, r / 2), or 0.5 in normalised crop coordinates, as in the authors' code:
:func:`square_crop` puts the centre of the box there, the camera its principal point, and crops are rotated and mirrored
about it. A mirror maps x to r - x, or 1 - x. The middle of the pixels, (r - 1) / 2, is half a pixel before it.
"""

import torch
from torch import Tensor


def points_to_box(points: Tensor) -> Tensor:
    """Tight box around points.

    Args:
        points: [..., L, 2]; NaN points are left out.

    Returns:
        x, y, w, h [..., 4], NaN if there are no points.

    Example:
        >>> points_to_box(torch.tensor([[1.0, 2], [4, 8], [torch.nan] * 2])).tolist()
        [1.0, 2.0, 3.0, 6.0]
    """
    low = torch.where(points.isnan(), torch.inf, points).amin(dim=-2)
    high = torch.where(points.isnan(), -torch.inf, points).amax(dim=-2)
    box = torch.cat([low, high - low], dim=-1)
    return torch.where(box.isfinite(), box, torch.nan)


def square_crop(box: Tensor, resolution: int, scale: float = 1.6, turn: Tensor | None = None) -> Tensor:
    """Affine map from the picture to the square crop around a box.

    The centre of the box becomes that of the crop, pixel index (r / 2, r / 2). The crop's side is ``scale`` x the
    longer side of the box.

    Args:
        box: x, y, w, h [..., 4] in picture pixels.
        resolution: side r of the crop in crop pixels.
        scale: side of the crop over the longer side of the box.
        turn: degrees [...] by which the content of the box is rotated clockwise about its centre, as seen in the
            picture; the crop shows it upright. Default: not rotated.

    Returns:
        [..., 3, 3], picture pixels to crop pixels (homogeneous columns).

    Raises:
        ValueError: if the box is not finite or has no size.

    Example:
        >>> box = torch.tensor([10.0, 20.0, 50.0, 50.0])
        >>> crop = square_crop(box, 64, turn=torch.tensor(90.0))
        >>> transform_points(torch.tensor([[60.0, 45.0]]), crop)  # the middle of the right edge is that of the top
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
    """Apply affine maps to points.

    Args:
        points: [..., L, 2].
        matrix: [..., 3, 3].

    Returns:
        [..., L, 2].

    Example:
        >>> shift = torch.tensor([[1.0, 0, 10], [0, 1, 20], [0, 0, 1]])
        >>> transform_points(torch.tensor([[1.0, 2.0]]), shift).tolist()
        [[11.0, 22.0]]
    """
    return points @ matrix[..., :2, :2].mT + matrix[..., None, :2, 2]


def invert_transform(matrix: Tensor) -> Tensor:
    """Inverse of affine maps: from crop pixels back to picture pixels.

    Args:
        matrix: [..., 3, 3].

    Returns:
        [..., 3, 3].

    Example:
        >>> crop = square_crop(torch.tensor([10.0, 20.0, 40.0, 40.0]), 64)
        >>> transform_points(torch.tensor([[32.0, 32.0]]), invert_transform(crop)).tolist()  # the centre of the box
        [[30.0, 40.0]]
    """
    return torch.linalg.inv(matrix)
