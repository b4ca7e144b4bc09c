"""COFW-68 (Ghiasi and Fowlkes, 2015): the occluded test faces of COFW, annotated with 68 landmarks."""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.io
from PIL import Image

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data.datasets.distributed import DatasetError, DistributedFaces, Finding, face_record
from pyspiga_geo.layouts import get_layout

_IMAGES = "COFW_test_color"
_POINTS = "_points.mat"


class COFW68(DistributedFaces):
    """COFW-68, 68 landmarks (``ibug68``), one split ``test``.

    The root holds the annotations and the file of the pictures. That is a MATLAB 7.3 file, for which h5py is needed
    (``pip install h5py``); its pictures are unpacked once into the folder ``COFW_test_color`` beside it. MATLAB
    counts pixels from 1, which is set right here. A landmark is visible where the owner's ``Occ`` is 0. The box is
    the landmarks' tight one, as in the SPIGA authors' annotations. COFW-68 has no training faces: train on 300-W.

    See :class:`DistributedFaces` for the arguments.
    """

    title = "COFW-68"
    url = (
        "https://github.com/golnazghiasi/cofw68-benchmark (folder COFW68_Data) and "
        "https://data.caltech.edu/records/20099 (COFW_test_color.mat)"
    )
    files = "  test_annotations/1_points.mat, 2_points.mat, ...\n  COFW_test_color.mat"
    sizes: ClassVar = {"test": 507}

    def _needs(self, split: str) -> Sequence[str]:
        return ("test_annotations", f"{_IMAGES}.mat")

    def _find(self, split: str) -> Iterator[Finding]:
        ids = get_layout(self.native_layout).ids
        numbers = self._unpack()
        for number in numbers:
            path = self.root / f"test_annotations/{number}{_POINTS}"
            try:
                points, occluded = _annotation(path)
                imgpath = f"{_IMAGES}/{number}.png"
                yield Finding(face_record(imgpath, ids, points - 1, 1.0 - occluded, str(number)))
            except ValueError as error:
                yield Finding(f"{path}: {error}")

    def _unpack(self) -> list[int]:
        """Numbers of the faces, 1 to the last, after their pictures have been written where they were not yet."""
        found = (self.root / "test_annotations").glob(f"*{_POINTS}")
        numbers = sorted(int(path.name.removesuffix(_POINTS)) for path in found)
        paths = [self.root / _IMAGES / f"{number}.png" for number in numbers]
        if not all(path.is_file() for path in paths):
            source = self.root / f"{_IMAGES}.mat"
            images = _images(source)
            if numbers != list(range(1, len(images) + 1)):
                raise DatasetError(
                    f"{source} holds {len(images)} pictures, but test_annotations has {len(numbers)} files, "
                    f"which are not 1{_POINTS} to {len(images)}{_POINTS}"
                )
            for path, pixels in zip(paths, images, strict=True):
                with atomic_path(path) as temporary:
                    Image.fromarray(pixels).save(temporary)
        return numbers


def _annotation(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points [68, 2], counted from 1, and occlusion [68], 0 or 1."""
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # scipy has no one kind of error for damaged files
        raise ValueError(f"cannot be read: {error}") from error
    if missing := [name for name in ("Points", "Occ") if name not in content]:
        raise ValueError(f"lacks {' and '.join(missing)}")
    points, occluded = np.asarray(content["Points"], float), np.ravel(content["Occ"]).astype(float)
    if points.shape != (68, 2) or occluded.shape != (68,) or not np.isin(occluded, (0, 1)).all():
        raise ValueError("Points must be 68 x 2, and Occ 68 numbers 0 or 1")
    return points, occluded


def _images(path: Path) -> list[npt.NDArray[np.uint8]]:
    """The cell array ``IsT``: pictures [H, W, 3], or [H, W] where grey."""
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise DatasetError(f"{path}: a MATLAB 7.3 file, which needs h5py: pip install h5py") from error
    try:
        with h5py.File(path, "r") as file:
            # MATLAB stores columns first, so all axes come reversed; a cell is a reference to its content.
            return [np.asarray(file[cell]).T for cell in np.ravel(file["IsT"])]
    except (OSError, KeyError) as error:
        raise DatasetError(f"{path}: not the file of COFW's test pictures: {error}") from error
