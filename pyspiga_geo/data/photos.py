"""Photos in the forms in which users have them."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyspiga_geo.data.images import read_image, read_pillow, to_bytes, to_rgb

Photo = str | os.PathLike[str] | Image.Image | NDArray[np.generic] | Tensor
"""A file, a Pillow image, an array [H, W] or [H, W, 3 or 4] or a tensor [3, H, W], RGB.

Floating-point values are in 0..1, 16-bit unsigned ones in 0..65535, other integers in 0..255.
"""

OVERSHOOT = 0.05
"""How far outside 0..1 a resampling filter may have taken a floating-point photo."""


def as_photo(photo: Photo) -> Tensor:
    """Convert a photo to a float32 tensor, RGB in 0..1, on the CPU.

    Args:
        photo: see :data:`~pyspiga_geo.data.Photo`.

    Returns:
        [3, H, W].

    Raises:
        ImageError: if a file cannot be read.
        ValueError: for an array or tensor of another shape, or with values outside the range of its type.

    Example:
        >>> as_photo(np.full((2, 3), 255, dtype=np.uint8)).shape
        torch.Size([3, 2, 3])
    """
    if isinstance(photo, Image.Image):
        return to_rgb(photo)
    if isinstance(photo, np.ndarray):
        if photo.ndim not in (2, 3) or (photo.ndim == 3 and photo.shape[2] not in (3, 4)) or not photo.size:
            raise ValueError(f"a photo array must be [H, W], [H, W, 3] or [H, W, 4], got {list(photo.shape)}")
        channels = np.repeat(photo[..., None], 3, axis=2) if photo.ndim == 2 else photo[..., :3]
        return _in_unit_range(channels.transpose(2, 0, 1))
    if isinstance(photo, Tensor):
        if photo.dim() != 3 or photo.size(0) != 3 or not photo.numel():
            raise ValueError(f"a photo tensor must be [3, H, W], got {list(photo.shape)}")
        held = photo.detach().cpu()
        return _in_unit_range((held.float() if held.is_floating_point() else held).numpy())
    if isinstance(photo, str | os.PathLike):
        return read_image(photo)
    raise ValueError(f"a photo must be a path, a Pillow image, an array or a tensor, got {type(photo).__name__}")


def as_pillow(photo: Photo) -> Image.Image:
    """Convert a photo to a Pillow image, RGB with 8 bits, upright; always a copy.

    Args:
        photo: see :data:`~pyspiga_geo.data.Photo`.

    Returns:
        The image.

    Raises:
        ImageError: if a file cannot be read.
        ValueError: as in :func:`as_photo`.

    Example:
        >>> as_pillow(torch.zeros(3, 48, 64)).size
        (64, 48)
    """
    if isinstance(photo, Image.Image):
        return to_bytes(photo)
    if isinstance(photo, str | os.PathLike):
        return read_pillow(photo)
    return Image.fromarray((255 * as_photo(photo)).round_().byte().permute(1, 2, 0).numpy())


def _in_unit_range(pixels: NDArray[Any]) -> Tensor:
    kind = pixels.dtype.kind
    if kind not in "buif":
        raise ValueError(f"a photo must hold numbers, got {pixels.dtype}")
    white = {"b": 1, "f": 1}.get(kind, 65535 if pixels.dtype == np.uint16 else 255)
    low, high = pixels.min(), pixels.max()
    slack = OVERSHOOT if kind == "f" else 0
    if not (-slack <= low and high <= white + slack):  # NaN included
        raise ValueError(f"a photo of {pixels.dtype} must have values in 0..{white}, got {low:g}..{high:g}")
    # Divided as the reader of files does, so that a file and its array are equal to the bit.
    scaled = (np.asarray(pixels, dtype=np.float32) / np.float32(white)).clip(0, 1)
    return torch.from_numpy(np.ascontiguousarray(scaled))
