"""Pictures from files of any common format, as upright float RGB."""

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
"""Formats of photos that are read. Pillow's readers of other formats are rarely tested, and not safe with arbitrary
bytes.
"""

_LARGE, _DENSEST = 10_000_000, 2000
"""Pixels from which a picture is large, and most pixels for each byte of such a file. Even with one colour, JPEG has
350, and grey PNG 1,032; a picture that claims more was made to fill the memory, or has a damaged size.
"""


class ImageError(ValueError):
    """A picture that cannot be read; the message names the file and says why.

    Example:
        >>> read_image("missing.jpg")
        Traceback (most recent call last):
        pyspiga_geo.data.images.ImageError: missing.jpg: no such file
    """


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Read a picture as float RGB.

    JPEG, PNG, WebP, AVIF (if Pillow supports it), GIF, BMP, TIFF and PPM are read. Grey, palette, CMYK, 16-bit and
    transparent pictures are converted (transparency is dropped), and the EXIF orientation is applied.

    Args:
        path: of the file.

    Returns:
        [3, H, W] in 0..1.

    Raises:
        ImageError: if the file is missing, empty, damaged, truncated or not a picture.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (64, 48), 255).save(Path(folder, "white.png"))
        ...     image = read_image(Path(folder, "white.png"))
        >>> image.shape, image.min()
        (torch.Size([3, 48, 64]), tensor(1.))
    """
    return _read(path, to_rgb)


def read_pillow(path: str | os.PathLike[str]) -> Image.Image:
    """Read a picture as a Pillow image, RGB with 8 bits, with the EXIF orientation applied.

    Args:
        path: of the file.

    Returns:
        The image.

    Raises:
        ImageError: as in :func:`read_image`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (64, 48)).save(Path(folder, "black.png"))
        ...     read_pillow(Path(folder, "black.png")).mode
        'RGB'
    """
    return _read(path, to_bytes)


def _read(path: str | os.PathLike[str], convert: Callable[[Image.Image], Read]) -> Read:
    """Apply a function to a picture while its file is open."""
    if not os.fspath(path):
        raise ImageError("the path of a picture must not be empty")
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


def to_bytes(image: Image.Image) -> Image.Image:
    """Convert a Pillow image of any mode to RGB with 8 bits, with the EXIF orientation applied; a copy."""
    if image.mode.startswith("I") or image.mode == "F":  # convert() would clip it
        return Image.fromarray((255 * to_rgb(image)).round().byte().permute(1, 2, 0).numpy())
    return ImageOps.exif_transpose(image).convert("RGB")


def to_rgb(image: Image.Image) -> Tensor:
    """Convert a Pillow image to float RGB, with the EXIF orientation applied.

    Args:
        image: of any mode.

    Returns:
        [3, H, W] in 0..1.

    Raises:
        ImageError: if a pixel is NaN.

    Example:
        >>> to_rgb(Image.new("L", (64, 48), 255)).shape
        torch.Size([3, 48, 64])
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
    """Path of a record's picture below a folder, which may hold all of ``imgpath`` or only its end.

    Args:
        root: the folder.
        imgpath: as in the record.

    Returns:
        The path.

    Raises:
        ImageError: if no end of ``imgpath`` names a file there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "a.png").touch()
        ...     find_image(folder, "datasets/faces/a.png").name
        'a.png'
    """
    parts = Path(imgpath).parts
    for start in range(len(parts)):
        path = Path(root, *parts[start:])
        if path.is_file():
            return path
    raise ImageError(f"{Path(root, imgpath)}: no such file")
