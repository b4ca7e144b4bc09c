"""Boxes in the forms in which users have them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class FaceBoxes(NamedTuple):
    """N faces in a photo, in its pixels.

    Example:
        >>> boxes = FaceBoxes(torch.tensor([[178.0, 91, 93, 83]]), torch.tensor([0.9]), torch.zeros(1))
        >>> boxes.box.shape, boxes.turn
        (torch.Size([1, 4]), tensor([0.]))
    """

    box: Tensor
    """x, y, w, h [N, 4], tight around the landmarks from brows to chin; for a rotated face along its own axes."""
    score: Tensor
    """[N], confidence of the detector, 0..1; NaN if not known."""
    turn: Tensor
    """Degrees [N] by which a face is rotated clockwise about the centre of its box; its crop shows it upright."""


Boxes = FaceBoxes | Tensor | NDArray[np.generic] | Sequence[Sequence[float]]
"""Numbers [N, 4], or [N, 5] with a score at the end; or :class:`FaceBoxes`."""

BoxFormat = Literal["xywh", "xyxy"]
"""A box as left, top, width, height; or as left, top, right, bottom. In pixels."""


def as_boxes(boxes: Boxes, image: Tensor, box_format: BoxFormat = "xywh") -> FaceBoxes:
    """Convert boxes to float32 on the CPU: left, top, width and height.

    Args:
        boxes: see :data:`Boxes`; an empty list is allowed.
        image: the photo [3, H, W] that they lie in.
        box_format: see :data:`BoxFormat`; ignored for :class:`FaceBoxes`.

    Raises:
        ValueError: for another shape or format, or a box without size or outside the photo.

    Example:
        >>> as_boxes([[1, 2, 4, 6]], torch.zeros(3, 8, 8), "xyxy").box
        tensor([[1., 2., 3., 4.]])
    """
    if box_format not in ("xywh", "xyxy"):
        raise ValueError(f"box_format must be 'xywh' or 'xyxy', got {box_format!r}")
    if isinstance(boxes, FaceBoxes):
        found = FaceBoxes(*(part.detach().float().cpu() for part in boxes))
        shapes = [list(part.shape) for part in found]
        if shapes != [[len(found.score), 4], [len(found.score)], [len(found.score)]]:
            raise ValueError(f"FaceBoxes must be [N, 4], [N] and [N], got {', '.join(map(str, shapes))}")
        box_format = "xywh"
    else:
        found = _from_numbers(boxes, box_format)
    height, width = image.shape[1:]
    wanted = "left, top, width, height" if box_format == "xywh" else "left, top, right, bottom"
    for box in found.box.tolist():
        x, y, w, h = box
        if w <= 0 or h <= 0:
            raise ValueError(f"box {box} has no size: {wanted} in pixels are expected")
        if not (np.isfinite(box).all() and x < width and y < height and x + w > 0 and y + h > 0):
            raise ValueError(f"box {box} lies outside of the picture of {width} x {height} pixels")
    return found


def _from_numbers(boxes: Tensor | NDArray[np.generic] | Sequence[Sequence[float]], box_format: BoxFormat) -> FaceBoxes:
    try:
        given = torch.as_tensor(np.asarray(boxes, dtype=np.float64) if not isinstance(boxes, Tensor) else boxes)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"boxes must be numbers [N, 4]: {error}") from error
    if not given.numel():
        return FaceBoxes(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0))
    given = (given[None] if given.dim() == 1 else given).detach().float().cpu()
    if given.dim() != 2 or given.size(1) not in (4, 5):
        raise ValueError(f"boxes must be [N, 4], or [N, 5] with scores, got {list(given.shape)}")
    box = given[:, :4].clone()
    if box_format == "xyxy":
        box[:, 2:] -= box[:, :2]
    unknown = given.new_full((len(given),), torch.nan)
    return FaceBoxes(box, given[:, 4].clone() if given.size(1) == 5 else unknown, torch.zeros_like(unknown))
