"""COFW-68 (Ghiasi and Fowlkes, 2015): the occluded test faces of COFW, annotated with 68 landmarks."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data.datasets.matlab import read_matrices
from pyspiga_geo.data.datasets.published import DatasetError, Finding, PublishedFaces, face_record
from pyspiga_geo.data.datasets.unpack_cofw import LACKS_H5PY

_IMAGES = "COFW_test_color"


class COFW68(PublishedFaces):
    """COFW-68: 68 landmarks (``ibug68``), one split, ``test``.

    The root holds the annotations and the pictures of COFW. Those come in one MATLAB 7.3 file, which needs h5py
    (``pip install 'pyspiga-geo[cofw]'``), and are unpacked once, into the folder ``COFW_test_color`` beside it.
    MATLAB counts pixels from 1; here they count from 0. A landmark is visible if the owner's ``Occ`` is 0. The
    box is the landmarks' tight one. There are no training faces with 68 landmarks: train on 300-W instead.

    See :class:`PublishedFaces` for the arguments.

    Example:
        >>> COFW68.sizes
        {'test': 507}
        >>> faces = COFW68("datasets/cofw68", "test")  # doctest: +SKIP
    """

    title = "COFW-68"
    url = (
        "https://github.com/golnazghiasi/cofw68-benchmark (folder COFW68_Data) and "
        "https://data.caltech.edu/records/20099 (COFW_test_color.mat)"
    )
    files = "  test_annotations/1_points.mat, 2_points.mat, ...\n  COFW_test_color.mat"
    sizes: ClassVar = {"test": 507}

    def _needs(self) -> Sequence[str]:
        return ("test_annotations",)

    def _find(self) -> Iterator[Finding]:
        found = [re.fullmatch(r"(\d+)_points\.mat", path.name) for path in self._annotations.iterdir()]
        numbers = sorted(int(match[1]) for match in found if match)
        self._unpack(numbers)
        for number in numbers:
            path = self._annotations / f"{number}_points.mat"
            try:
                points, occluded = _annotation(path)
                imgpath = f"{_IMAGES}/{number}.png"
                yield Finding(str(path), face_record(imgpath, self.layout.ids, points - 1, 1 - occluded, str(number)))
            except ValueError as error:
                yield Finding(str(path), str(error))

    @property
    def _annotations(self) -> Path:
        return self.root / "test_annotations"

    def _unpack(self, numbers: list[int]) -> None:
        """Write the pictures of the faces with these numbers, where one is not there yet."""
        paths = [self.root / _IMAGES / f"{number}.png" for number in numbers]
        if all(path.is_file() for path in paths):
            return
        self._require((f"{_IMAGES}.mat",))
        source = self.root / f"{_IMAGES}.mat"
        with tempfile.TemporaryDirectory() as folder:
            _unpack(source, folder)
            count = len(os.listdir(folder))
            if numbers != list(range(1, count + 1)):
                raise DatasetError(
                    f"{self._annotations}: needs 1_points.mat to {count}_points.mat, for the {count} pictures "
                    f"of {source}; there are {len(numbers)}"
                )
            for path in paths:
                with atomic_path(path) as temporary:
                    shutil.copyfile(Path(folder, path.name), temporary)


def _annotation(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points [68, 2], counted from 1, and occlusion [68], 0 or 1."""
    try:
        content = read_matrices(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if missing := [name for name in ("Points", "Occ") if name not in content]:
        raise ValueError(f"lacks {' and '.join(missing)}")
    points, occluded = content["Points"], content["Occ"].ravel()
    if points.shape != (68, 2) or occluded.shape != (68,) or not np.isin(occluded, (0, 1)).all():
        raise ValueError("Points must be 68 x 2, and Occ 68 numbers 0 or 1")
    if not np.isfinite(points).all():
        raise ValueError("Points must be finite")
    return points, occluded


def _unpack(source: Path, folder: str) -> None:
    """Write the pictures of a MATLAB 7.3 file as 1.png, 2.png, ..., in a process that a damaged file may end."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("unpack_cofw.py"), source, folder],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == LACKS_H5PY:
        raise DatasetError(f"{source}: a MATLAB 7.3 file, which needs h5py: pip install 'pyspiga-geo[cofw]'")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] if done.returncode > 0 else ["damaged"]
        raise DatasetError(f"{source}: not the file of COFW's test pictures: {''.join(reason)}")
