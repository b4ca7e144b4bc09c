"""Faces at any angle: the photo is searched in four turns."""

import torch
from torch import Tensor

from pyspiga_geo.inference.detector import Detector, turned
from pyspiga_geo.inference.inputs import FaceBoxes, as_boxes

_OVERLAP = 0.3
"""Of two finds whose intersection over union is larger, the one with the lower score is dropped."""


def find_at_any_angle(detector: Detector, image: Tensor) -> FaceBoxes:
    """What a detector of upright faces finds in a photo turned by 0, 90, 180 and 270 degrees.

    A face that is found in several turns counts once: as it has the best score, or where a detector gives none as it
    is least turned.

    Args:
        detector: see :data:`Detector`.
        image: [3, H, W], float RGB in 0..1.

    Returns:
        Faces in pixels of the photo as it is, largest first.
    """
    finds = [_in_photo(_found(detector, image, quarters), image, quarters) for quarters in range(4)]
    found = FaceBoxes(*(torch.cat(parts) for parts in zip(*finds, strict=True)))
    best = found.score.nan_to_num(-1.0).argsort(descending=True, stable=True)
    kept: list[int] = []
    for index in best.tolist():
        if not kept or _overlap(found.box[index], found.box[kept]).max() <= _OVERLAP:
            kept.append(index)
    chosen = FaceBoxes(*(part[kept] for part in found))
    order = chosen.box[:, 2:].prod(dim=1).argsort(descending=True)
    return FaceBoxes(*(part[order] for part in chosen))


def _found(detector: Detector, image: Tensor, quarters: int) -> FaceBoxes:
    """The finds in a photo that is turned back, that is anticlockwise, by quarter turns."""
    view = image.rot90(quarters, (1, 2)).contiguous()
    return as_boxes(detector(view), view)


def _in_photo(found: FaceBoxes, image: Tensor, quarters: int) -> FaceBoxes:
    """Finds of a photo that was turned back, in pixels of the photo as it is."""
    height, width = image.shape[1:]
    middle = found.box.new_tensor([width - 1, height - 1]) / 2
    view_middle = middle.flip(0) if quarters % 2 else middle
    angle = torch.full_like(found.turn, 90.0 * quarters)
    size = found.box[:, 2:]
    centre = middle + turned(found.box[:, :2] + size / 2 - view_middle, angle)
    return FaceBoxes(torch.cat([centre - size / 2, size], dim=1), found.score, _wrapped(found.turn + angle))


def _wrapped(degrees: Tensor) -> Tensor:
    """The same angles in [-180, 180)."""
    return (degrees + 180).remainder(360) - 180


def _overlap(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union [N] of a box x, y, w, h [4] with others [N, 4]."""
    low = torch.maximum(box[:2], others[:, :2])
    high = torch.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    return shared / (box[2:].prod() + others[:, 2:].prod(dim=1) - shared)
