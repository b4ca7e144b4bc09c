"""Face detection without a download."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pyspiga_geo.inference.boxes import Boxes, FaceBoxes
from pyspiga_geo.inference.yunet import YuNet

Detector = Callable[[Tensor], Boxes]
"""A function from a photo [3, H, W], float RGB in 0..1, to the boxes of its faces in its pixels: x, y, w, h [N, 4], as
tight around the landmarks from brows to chin as possible; or with a score in a fifth column; or :class:`FaceBoxes`.
"""

_CENTRE = (0.008, 0.129)
"""Offset from the centre of the detector's box to that of the landmarks' tight box, in fractions of its width and
height.
"""

_SIDES = (1.028, 0.750)
"""Width and height of the landmarks' tight box, in the same fractions."""

UPRIGHT = 30
"""Degrees up to which a face counts as upright: models see such faces in training."""


@cache
def _yunet(device: torch.device) -> YuNet:
    return YuNet.from_pretrained().to(device)


def detect_faces(image: Tensor) -> Tensor:
    """Find faces with :class:`~pyspiga_geo.inference.YuNet`, on the image's device.

    The photo is searched at a longer side of 640 pixels, where faces from about 10 to 300 pixels are found.

    Args:
        image: [3, H, W], float RGB in 0..1.

    Returns:
        Boxes x, y, w, h [N, 4] in pixels, largest first, estimates of the tight box of the landmarks. The box of a face
        that is rotated by more than 30 degrees is along its own axes.

    Raises:
        ValueError: if the image has another shape or type.

    Example:
        >>> from skimage.data import astronaut
        >>> detect_faces(torch.from_numpy(astronaut()).permute(2, 0, 1) / 255).round()
        tensor([[178.,  91.,  93.,  83.]])
    """
    return find_faces(image).box


def find_faces(image: Tensor, *, threshold: float = 0.6, longer_side: int = 640, upright: float = UPRIGHT) -> FaceBoxes:
    """Find faces as :func:`detect_faces` does, with scores and rotations.

    Args:
        image: [3, H, W], float RGB in 0..1.
        threshold: lowest score.
        longer_side: pixels of the photo's longer side when it is searched.
        upright: degrees up to which a face counts as not rotated.

    Returns:
        The faces, largest first.

    Raises:
        ValueError: if the image has another shape or type.

    Example:
        >>> from skimage.data import astronaut
        >>> photo = torch.from_numpy(astronaut()[:256]).permute(2, 0, 1) / 255
        >>> found = find_faces(photo, longer_side=320, upright=0)
        >>> found.score.round(decimals=1), found.turn.round()  # tilted by two degrees
        (tensor([0.9000]), tensor([2.]))
    """
    if image.dim() != 3 or image.size(0) != 3 or not image.numel() or not image.is_floating_point():
        raise ValueError(f"image must be float [3, H, W] in 0..1, got {image.dtype} {list(image.shape)}")
    height, width = image.shape[1:]
    scale = longer_side / max(height, width)
    shape = max(round(height * scale), 1), max(round(width * scale), 1)
    seen = F.interpolate(image[None].float(), shape, mode="bilinear", antialias=True)
    (faces,) = _yunet(image.device).detect(seen, threshold)
    corner, size = faces.box.split(2, dim=1)
    turn = _turn(faces.points)
    turn = torch.where(turn.abs() > upright, turn, 0)
    centre = corner + size / 2 + turned(size * size.new_tensor(_CENTRE), turn)
    size = size * size.new_tensor(_SIDES)
    # Pixel indices are those of the centres: the photo's corner is at -0.5.
    enlarge = size.new_tensor([width / shape[1], height / shape[0]])
    centre, size = (centre + 0.5) * enlarge - 0.5, size * enlarge
    found = FaceBoxes(torch.cat([centre - size / 2, size], dim=1), faces.score, turn)
    inside = ((centre >= 0) & (centre < size.new_tensor([width, height]))).all(dim=1)
    order = size.prod(dim=1).argsort(descending=True)
    return FaceBoxes(*(part[order[inside[order]]] for part in found))


def turned(vectors: Tensor, degrees: Tensor) -> Tensor:
    """Vectors (x, y) [N, 2] rotated clockwise, as seen in a picture, by degrees [N]."""
    cos, sin = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    x, y = vectors.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def _turn(points: Tensor) -> Tensor:
    """Degrees [N] by which faces are rotated clockwise, from eyes, nose and corners of the mouth [N, 5, 2].

    The line between the eyes and the line from their middle to the mouth are weighted by their lengths, so that for a
    profile the latter decides.
    """
    across = points[:, 1] - points[:, 0]
    down = (points[:, 3] + points[:, 4] - points[:, 0] - points[:, 1]) / 2
    return torch.atan2(across[:, 1] - down[:, 0], across[:, 0] + down[:, 1]).rad2deg()
