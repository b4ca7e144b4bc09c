"""Pictures, for ``read_image`` and ``read_pillow``."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from fuzz.kind import Kind, Prepared
from fuzz.mutations import mutate_bytes
from pyspiga_geo.cli.outputs import is_own_picture
from pyspiga_geo.data import FORMATS, read_image, read_pillow

# Pillow writes such a TIFF, and reads it again from version 13 on.
_READ_BACK = ("YCbCr",) if int(PIL.__version__.partition(".")[0]) >= 13 else ()

_FORMS: dict[str, list[tuple[str, dict[str, Any]]]] = {  # mode and options of each valid picture
    "JPEG": [("RGB", {}), ("L", {}), ("CMYK", {"progressive": True}), ("RGB", {"progressive": True, "quality": 30})],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {}), ("LA", {}), ("1", {}), ("I;16", {}), ("RGB", {"save_all": True})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"save_all": True})],
    "AVIF": [("RGB", {}), ("RGBA", {})],
    "GIF": [("P", {}), ("L", {"interlace": 1}), ("RGB", {"save_all": True})],
    "BMP": [("RGB", {}), ("P", {}), ("1", {}), ("RGBA", {})],
    "TIFF": [
        *(("RGB", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
        *(("1", {"compression": name}) for name in ("group3", "group4", "tiff_ccitt")),
        *((mode, {}) for mode in ("CMYK", "I;16", "F", "P", "LAB", "RGBA", *_READ_BACK)),
        ("RGB", {"save_all": True}),
        ("L", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    ],
    "PPM": [("RGB", {}), ("L", {}), ("1", {}), ("I;16", {})],
}

_PLAIN = [
    b"P3\n3 2\n255\n255 0 0 0 255 0 0 0 255\n255 255 0 255 255 255 0 0 0\n",
    b"P1\n4 2\n0 1 0 1\n1 0 1 0\n",
    b"Pf\n1 1\n-1.0\n\0\0\0\0",
]


def _valid(name: str) -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    valid = []
    for mode, options in _FORMS[name]:
        picture = Image.fromarray(pixels)
        if mode == "LAB":
            picture = Image.new("LAB", (14, 9), (100, 3, 200))
        elif mode == "I;16":
            picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
        else:
            picture = picture.convert(mode)
        more: dict[str, Any] = dict(options)
        if more.get("save_all"):
            more["append_images"] = [picture.rotate(180)] * 3
        if name in ("JPEG", "PNG", "WEBP", "TIFF"):
            more.setdefault("exif", exif)
        stream = io.BytesIO()
        picture.save(stream, format=name, **more)
        valid.append(stream.getvalue())
    return valid + (_PLAIN if name == "PPM" else [])


def _prepare(folder: Path, name: str) -> Prepared:
    path = folder / "picture.bin"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        assert not is_own_picture(path)
        image = read_image(path)
        assert image.dim() == 3, image.shape
        assert image.size(0) == 3, image.shape
        assert 0 <= image.min() <= image.max() <= 1, "values outside of 0..1"
        picture = read_pillow(path)
        assert (picture.mode, picture.size) == ("RGB", (image.size(2), image.size(1)))

    return Prepared(_valid(name), read)


Image.init()
KINDS = [
    Kind(f"picture-{name.lower()}", 70, partial(_prepare, name=name), mutate_bytes)
    for name in FORMATS
    if name in Image.SAVE
]
