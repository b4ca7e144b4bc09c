"""Pictures from files: whatever the format, float RGB the right way up."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

Read = TypeVar("Read")

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
"""What photos come in. Pillow's readers of other formats are seldom tried, and not safe with any bytes."""

_LARGE, _DENSEST = 10_000_000, 2000
"""Pixels from which a picture is large, and most pixels for each byte of such a file. Even of one colour, JPEG has 350,
and grey PNG 1,032; what says more was made to fill the memory, or has a damaged size."""


class ImageError(ValueError):
    """A picture that cannot be read; the message names the file and says why."""


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Read a picture as float RGB [3, H, W] in 0..1.

    JPEG, PNG, WebP, AVIF (where Pillow has it), GIF, BMP, TIFF and PPM are read. Grey, palette, CMYK, 16-bit and
    transparent pictures are converted (transparency is dropped), and a photo is turned as its EXIF orientation says.

    Raises:
        ImageError: when the file is missing, empty, damaged, truncated or not a picture.
    """
    return _read(path, to_rgb)


def read_pillow(path: str | os.PathLike[str]) -> Image.Image:
    """Read a picture as Pillow image, RGB with 8 bits, turned as its EXIF orientation says.

    Raises:
        ImageError: as of :func:`read_image`.
    """
    return _read(path, _to_bytes)


def _read(path: str | os.PathLike[str], convert: Callable[[Image.Image], Read]) -> Read:
    """What a function makes of a picture while its file is open."""
    if not os.fspath(path):
        raise ImageError("an empty path is no picture")
    path = Path(path)
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    if not path.is_file():
        raise ImageError(f"{path}: not a file")
    try:
        Image.init()
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            size, pixels = path.stat().st_size, image.width * image.height
            if pixels > max(_LARGE, _DENSEST * size):
                raise ImageError(f"{size} bytes cannot hold a photo of {image.width} x {image.height} pixels")
            return convert(image)
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a picture, or of a format that cannot be read") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too large a picture: {error}") from error
    except MemoryError as error:
        raise ImageError(f"{path}: too large a picture for the memory") from error
    except Exception as error:  # damaged files make Pillow's decoders raise nearly anything
        raise ImageError(f"{path}: damaged or truncated: {error}") from error


def _to_bytes(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # convert() would clip it
        return Image.fromarray((255 * to_rgb(image)).round().byte().permute(1, 2, 0).numpy())
    return ImageOps.exif_transpose(image).convert("RGB")


def to_rgb(image: Image.Image) -> Tensor:
    """Give a Pillow image as float RGB [3, H, W] in 0..1, turned as its EXIF orientation says.

    Raises:
        ImageError: when a pixel is NaN.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":  # one channel of 16 or 32 bits; convert() would clip it
        white = 65535 if image.mode.startswith("I") else 1
        grey = np.asarray(image, dtype=np.float32) / np.float32(white)
        if np.isnan(grey).any():
            raise ImageError("a pixel is not a number")
        pixels = np.repeat(grey.clip(0, 1)[..., None], 3, axis=2)
    else:
        # Bytes are put into order first: as floating-point numbers they take four times the memory.
        channels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
        return channels.float().div_(255)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def find_image(root: str | os.PathLike[str], imgpath: str) -> Path:
    """Path of a record's picture below ``root``, which may hold the whole of ``imgpath`` or only its end.

    Raises:
        ImageError: when no end of ``imgpath`` names a file there.
    """
    parts = Path(imgpath).parts
    for start in range(len(parts)):
        path = Path(root, *parts[start:])
        if path.is_file():
            return path
    raise ImageError(f"{Path(root, imgpath)}: no such file")
