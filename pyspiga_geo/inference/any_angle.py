"""Faces at any angle: proposed in four rotations of the photo, each confirmed in an upright crop."""

from functools import partial

import torch
from torch import Tensor

from pyspiga_geo.geometry import invert_transform, square_crop, transform_points, warp_image
from pyspiga_geo.inference.boxes import FaceBoxes, as_boxes
from pyspiga_geo.inference.detector import UPRIGHT, Detector, find_faces, turned

_PROPOSED_FROM, _CONFIRMED_FROM = 0.3, 0.75
"""Lowest scores of our own detector: for a face between two rotations it is low, for the same face upright about
0.9.
"""

_SIZE, _SCALES = 224, (2.0, 3.0)
"""Side in pixels, and in longer sides of the box, of the crops in which a proposal must be found again. In one crop
alone a face may score as high upside down as upright.
"""

_APART = 0.5
"""Of two faces whose centres are nearer, in longer sides of the larger box, the one with the lower score is dropped."""


def find_at_any_angle(detector: Detector, image: Tensor) -> FaceBoxes:
    """Find faces in a photo whatever their angle, with a detector of upright faces.

    The photo is searched in four quarter turns. Each face found is cropped twice, rotated upright, and must be found
    there again. A face found in several rotations counts once: with the best score or, if a detector gives none, with
    the smallest rotation.

    Args:
        detector: see :data:`Detector`.
        image: [3, H, W], float RGB in 0..1.

    Returns:
        Faces in pixels of the unrotated photo, largest first.
    """
    propose = confirm = detector
    if detector is find_faces:
        propose = partial(find_faces, threshold=_PROPOSED_FROM, upright=0)
        confirm = partial(find_faces, threshold=_CONFIRMED_FROM, upright=0, longer_side=_SIZE)
    proposed = _together([_search_turned(propose, image, quarters) for quarters in range(4)])
    found = _together([_confirmed(confirm, image, _rows(proposed, [row])) for row in range(len(proposed.score))])
    distinct = _rows(found, _distinct(found))
    return _rows(distinct, distinct.box[:, 2:].prod(dim=1).argsort(descending=True))


def _search_turned(detector: Detector, image: Tensor, quarters: int) -> FaceBoxes:
    """Finds in a photo that is turned back, anticlockwise, by quarter turns; in pixels of the photo as it is."""
    height, width = image.shape[1:]
    view = image.rot90(quarters, (1, 2)).contiguous()
    found = as_boxes(detector(view), view)
    middle = found.box.new_tensor([width - 1, height - 1]) / 2
    view_middle = middle.flip(0) if quarters % 2 else middle
    angle = torch.full_like(found.turn, 90.0 * quarters)
    size = found.box[:, 2:]
    centre = middle + turned(found.box[:, :2] + size / 2 - view_middle, angle)
    return FaceBoxes(torch.cat([centre - size / 2, size], dim=1), found.score, found.turn + angle)


def _confirmed(detector: Detector, image: Tensor, proposal: FaceBoxes) -> FaceBoxes:
    """The mean of the faces that a detector finds in a proposal's upright crops, [1], if it finds one in each."""
    seen = _together([_found_again(detector, image, proposal, scale) for scale in _SCALES])
    if len(seen.score) < len(_SCALES):
        return _rows(seen, [])
    turn = (seen.turn[:1] + proposal.turn + 180).remainder(360) - 180
    turn = torch.where(turn.abs() > UPRIGHT, turn, 0)
    return FaceBoxes(seen.box.mean(dim=0, keepdim=True), seen.score.mean(dim=0, keepdim=True), turn)


def _found_again(detector: Detector, image: Tensor, proposal: FaceBoxes, scale: float) -> FaceBoxes:
    """The face [1] in the middle of a proposal's upright crop, in the photo's pixels; or none [0]."""
    (matrix,) = square_crop(proposal.box, _SIZE, scale, proposal.turn)
    view = warp_image(image, matrix, _SIZE)
    found = as_boxes(detector(view), view)
    size = found.box[:, 2:]
    centre = found.box[:, :2] + size / 2
    expected = _SIZE / scale  # longer side of the box
    near = (centre - _SIZE / 2).norm(dim=1) < expected / 2
    near &= (size.amax(dim=1) / expected).log2().abs() < 1
    best = (found.score.nan_to_num(1.0) * near).argsort(descending=True)[: int(near.any())]
    centre = transform_points(centre[best], invert_transform(matrix))
    size = size[best] / matrix[:2, :2].det().sqrt()
    return FaceBoxes(torch.cat([centre - size / 2, size], dim=1), found.score[best], found.turn[best])


def _together(finds: list[FaceBoxes]) -> FaceBoxes:
    if not finds:
        return FaceBoxes(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0))
    return FaceBoxes(*(torch.cat(parts) for parts in zip(*finds, strict=True)))


def _rows(found: FaceBoxes, rows: Tensor | list[int]) -> FaceBoxes:
    return FaceBoxes(*(part[rows] for part in found))


def _distinct(found: FaceBoxes) -> list[int]:
    """Rows of the faces, each face once, best first."""
    centre = found.box[:, :2] + found.box[:, 2:] / 2
    side = found.box[:, 2:].amax(dim=1)
    kept: list[int] = []
    for row in found.score.nan_to_num(1.0).argsort(descending=True, stable=True).tolist():
        apart = (centre[kept] - centre[row]).norm(dim=1) / side[kept].maximum(side[row])
        if (apart >= _APART).all():
            kept.append(row)
    return kept
