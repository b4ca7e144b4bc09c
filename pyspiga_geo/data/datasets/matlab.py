"""Numeric matrices from MATLAB 5 files. SciPy's reader crashes the process on some damaged ones."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pyspiga_geo.data.records import FloatArray

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC, _COMPLEX = range(6, 16), 0x800
_MOST_BYTES = 10_000_000


def read_matrices(path: str | os.PathLike[str]) -> dict[str, FloatArray]:
    """The variables of a file that are matrices of real numbers or truth values, float64, by their names.

    Files are those of MATLAB 5 to 7.2, compressed or not. Other variables are skipped.

    Raises:
        ValueError: if the file is of another kind, or damaged.
        OSError: if it cannot be read.
    """
    content = Path(path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("not a file of MATLAB 5 to 7.2")
    found = {}
    try:
        for kind, body in _elements(content[128:], order):
            if kind == _COMPRESSED:
                kind, body = next(_elements(_decompressed(body), order), (0, b""))
            if kind == _MATRIX:
                name, matrix = _matrix(body, order)
                if matrix is not None:
                    found[name] = matrix
    except (struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"damaged: {error}") from error
    return found


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of the elements that follow each other."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:  # so few bytes that they stand in the place of their number
            kind, size, start = kind & 0xFFFF, min(kind >> 16, 4), place + 4
        place = start + size
        if place > len(content):
            raise ValueError("it ends within a variable")
        yield kind, content[start:place]
        if kind != _COMPRESSED:
            place += -place % 8


def _decompressed(body: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(body, _MOST_BYTES)
    if not stream.eof:
        raise ValueError(f"a compressed variable has no end within {_MOST_BYTES:,} bytes")
    return content


def _matrix(body: bytes, order: str) -> tuple[str, FloatArray | None]:
    parts = _elements(body, order)
    (_, flags), (_, sizes), (_, name) = (next(parts, (0, b"")) for _ in range(3))
    kind = struct.unpack_from(f"{order}I", flags)[0]
    if (kind & 0xFF) not in _NUMERIC or kind & _COMPLEX:
        return "", None
    number, values = next(parts, (0, b""))
    if number not in _NUMBERS:
        raise ValueError(f"{name!r} holds no numbers")
    shape = np.frombuffer(sizes, f"{order}i4")
    matrix = np.frombuffer(values, f"{order}{_NUMBERS[number]}").reshape(shape, order="F")
    return name.decode("latin-1"), matrix.astype(np.float64)
