"""Matching of boxes."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def box_overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union [N, M] of boxes x, y, w, h [N, 4] with others [M, 4].

    Example:
        >>> box_overlap(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 2, 2], [5.0, 0, 1, 1]]))
        tensor([[1.0000, 0.3333, 0.0000]])
    """
    one, other = boxes[:, None], others[None]
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    return shared / (one[..., 2:].prod(dim=-1) + other[..., 2:].prod(dim=-1) - shared)


def box_distance(boxes: Tensor, others: Tensor) -> Tensor:
    """Distance of boxes x, y, w, h [N, 4] from others [M, 4], [N, M].

    The distance of the centres in units of the mean size (the square root of the area), plus the absolute
    logarithm of the ratio of the sizes.

    Example:
        >>> box_distance(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 2, 2]]))
        tensor([[0.0000, 0.5000]])
    """
    sizes = [each[:, 2:].prod(dim=-1).sqrt() for each in (boxes, others)]
    apart = torch.cdist(boxes[:, :2] + boxes[:, 2:] / 2, others[:, :2] + others[:, 2:] / 2)
    mean = (sizes[0][:, None] + sizes[1][None]) / 2
    return apart / mean + (sizes[0][:, None] / sizes[1][None]).log().abs()


def assign(cost: Tensor, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of a cost matrix [N, M] with the least sum; each row and column is in one pair at most.

    Pairs that cost more than ``limit`` are not made, and leave their partners to others.

    Example:
        >>> assign(torch.tensor([[0.1, 0.2], [0.2, 9.0]]), limit=1.0)
        [(0, 1), (1, 0)]
    """
    # More than all allowed pairs together: as many of those as possible are made.
    forbidden = limit * (min(cost.shape) + 1) + 1
    table = np.where(cost.numpy() > limit, forbidden, cost.numpy())
    rows, columns = linear_sum_assignment(table)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if cost[row, column] <= limit]
