"""Where the faces are: a detector that needs no download."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pyspiga_geo.inference.yunet import YuNet

Detector = Callable[[Tensor], Tensor]
"""A function from a photo [3, H, W], float RGB in 0..1, to boxes x, y, w, h [N, 4] in its pixels, as tight around the
landmarks from brows to chin as it can."""

_WORK_SIZE = 640
"""Longer side in pixels at which a photo is searched."""

_INSET = (-0.006, 0.254)
"""Left and top margin of the tight box of the landmarks within the detector's box, in parts of its width and height."""

_SIDES = (1.028, 0.750)
"""Width and height of that box, in the same parts."""


@cache
def _yunet(device: torch.device) -> YuNet:
    return YuNet.from_pretrained().to(device)


def detect_faces(image: Tensor) -> Tensor:
    """Find faces with :class:`~pyspiga_geo.inference.yunet.YuNet`, on the image's device.

    The photo is searched at a longer side of 640 pixels, where faces from about 10 to 300 pixels are found.

    Args:
        image: [3, H, W], float RGB in 0..1.

    Returns:
        Boxes x, y, w, h [N, 4] in pixels, largest first: where the tight box of the landmarks would be.

    Raises:
        ValueError: for an image of another kind.

    Example:
        >>> from skimage.data import astronaut
        >>> detect_faces(torch.from_numpy(astronaut()).permute(2, 0, 1) / 255).round()
        tensor([[178.,  91.,  93.,  83.]])
    """
    if image.dim() != 3 or image.size(0) != 3 or not image.numel() or not image.is_floating_point():
        raise ValueError(f"image must be float [3, H, W] in 0..1, got {image.dtype} {list(image.shape)}")
    height, width = image.shape[1:]
    scale = _WORK_SIZE / max(height, width)
    shape = max(round(height * scale), 1), max(round(width * scale), 1)
    seen = F.interpolate(image[None].float(), shape, mode="bilinear", antialias=True)
    (faces,) = _yunet(image.device).detect(seen)
    corner, size = faces.box.split(2, dim=1)
    corner = corner + size * size.new_tensor(_INSET)
    size = size * size.new_tensor(_SIDES)
    # Pixel indices are those of the centres: the photo's corner is at -0.5.
    enlarge = size.new_tensor([width / shape[1], height / shape[0]])
    boxes = torch.cat([(corner + 0.5) * enlarge - 0.5, size * enlarge], dim=1)
    return boxes[boxes[:, 2:].prod(dim=1).argsort(descending=True)]
