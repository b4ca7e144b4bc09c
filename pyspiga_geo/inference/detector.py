"""Where the faces are: a detector that needs no download."""

from collections.abc import Callable
from functools import cache

import torch
from skimage.color import rgb2gray
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade
from skimage.transform import resize
from torch import Tensor

Detector = Callable[[Tensor], Tensor]
"""A function from a photo [3, H, W], float RGB in 0..1, to boxes x, y, w, h [N, 4] in its pixels."""

_WORK_SIZE = 800
"""Longer side in pixels at which a photo is searched."""

_SMALLEST = 36
"""Side in pixels of the smallest window, at the size of the search."""

_OVERLAP = 0.3
"""Two finds that share more than this part of the smaller one are the same face."""

_INSET, _DROP, _SIDE = 0.075, 0.21, 0.85
"""The tight box of the landmarks within the cascade's window, in parts of its side: left margin, top margin, side.
Medians over the 21 faces that the cascade finds among 33 annotated ones in 16 AFW photos."""


@cache
def _cascade() -> Cascade:
    return Cascade(lbp_frontal_face_cascade_filename())


def detect_faces(image: Tensor) -> Tensor:
    """Find upright frontal faces with scikit-image's local-binary-pattern cascade.

    Args:
        image: [3, H, W], float RGB in 0..1.

    Returns:
        Boxes x, y, w, h [N, 4] in pixels, largest first: where the tight box of the landmarks would be.
    """
    height, width = image.shape[1:]
    shrink = min(1.0, _WORK_SIZE / max(height, width))
    grey = rgb2gray(image.permute(1, 2, 0).numpy())
    if shrink < 1:
        grey = resize(grey, (max(round(height * shrink), 1), max(round(width * shrink), 1)), anti_aliasing=True)
    if min(grey.shape) < _SMALLEST:
        return torch.zeros(0, 4)
    windows = _cascade().detect_multi_scale(
        grey, scale_factor=1.2, step_ratio=1, min_size=(_SMALLEST, _SMALLEST), max_size=(min(grey.shape),) * 2
    )
    found = [(w["c"] / shrink, w["r"] / shrink, w["width"] / shrink) for w in windows]
    distinct: list[tuple[float, float, float]] = []
    for window in sorted(found, key=lambda window: -window[2]):
        if all(_shared_part(window, other) <= _OVERLAP for other in distinct):
            distinct.append(window)
    boxes = [(x + _INSET * side, y + _DROP * side, _SIDE * side, _SIDE * side) for x, y, side in distinct]
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def _shared_part(first: tuple[float, float, float], second: tuple[float, float, float]) -> float:
    """Shared area of two square windows (x, y, side) over the area of the smaller."""
    across, down = (
        min(first[axis] + first[2], second[axis] + second[2]) - max(first[axis], second[axis]) for axis in (0, 1)
    )
    return max(across, 0) * max(down, 0) / min(first[2], second[2]) ** 2
