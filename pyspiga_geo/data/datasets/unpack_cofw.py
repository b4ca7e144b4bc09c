"""A program that unpacks the pictures of COFW: ``python unpack_cofw.py COFW_test_color.mat FOLDER``.

It runs as a separate process, because a damaged file can crash the process in the HDF5 library. It imports nothing from
the package, so that it starts at once. Errors are printed to standard error, with exit code 1; 3 if h5py is missing.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LACKS_H5PY = 3

_MOST_CELLS, _MOST_PIXELS = 10_000, 100_000_000

_DENSEST = 2000
"""Most values for each byte of the file; its compression has 1,032."""


def pictures(path: Path) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """The cell array ``IsT``, one after another: pictures [H, W, 3], or [H, W] if grey.

    Raises:
        ValueError: if it holds anything else.
    """
    h5py: Any = importlib.import_module("h5py")
    with h5py.File(path, "r") as file:
        cells = file["IsT"]
        if cells.dtype != h5py.ref_dtype or not 0 < cells.size <= _MOST_CELLS:
            raise ValueError("IsT must be a cell array of pictures")
        remaining = _DENSEST * path.stat().st_size
        for cell in cells[()].ravel():
            shape, kind = file[cell].shape, file[cell].dtype
            # MATLAB stores columns first, so all axes come reversed.
            if kind != np.uint8 or len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 3):
                raise ValueError(f"a picture must be [H, W, 3] or [H, W] of bytes, got {list(shape[::-1])} of {kind}")
            if not 0 < np.prod(shape, dtype=np.int64) <= _MOST_PIXELS:
                raise ValueError(f"a picture must have 1 to {_MOST_PIXELS:,} values, got {list(shape[::-1])}")
            remaining -= int(np.prod(shape, dtype=np.int64))
            if remaining < 0:
                raise ValueError("it claims more pictures than a file of its size can hold")
            yield np.ascontiguousarray(file[cell][()].T)


if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    try:
        for number, pixels in enumerate(pictures(source), start=1):
            Image.fromarray(pixels).save(folder / f"{number}.png")
    except ImportError:
        sys.exit(LACKS_H5PY)
    except Exception as error:  # h5py has no one kind of error for damaged files
        sys.exit(str(error) or type(error).__name__)
