"""Published datasets, read from the files that their owners distribute: their common base."""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data.checking import damage, report_bad
from pyspiga_geo.data.datasets.annotations import AnnotatedFaces
from pyspiga_geo.data.record_writing import write_records
from pyspiga_geo.data.records import FARTHEST, FaceRecord, FloatArray, RecordError
from pyspiga_geo.geometry import points_to_box
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout, get_layout


class DatasetError(RecordError):
    """A dataset's files are missing or not as its owner distributes them; the message says which and why.

    Example:
        >>> from pyspiga_geo.data import WFLW
        >>> WFLW("no_such_folder", "test")
        Traceback (most recent call last):
        pyspiga_geo.data.datasets.published.DatasetError: no_such_folder: ...
    """


class Finding(NamedTuple):
    """What one place of the owner's files holds: a face, or the reason why it cannot be used.

    Args:
        where: the file, and the line if it holds several faces.
        face: the face, or the reason.
        subsets: names of the parts of the dataset that the face belongs to.
    """

    where: str
    face: FaceRecord | str
    subsets: Sequence[str] = ()


class PublishedFaces(AnnotatedFaces):
    """Faces of a published dataset, as graphs. Each subclass reads one dataset from its owner's files.

    Items are those of :class:`AnnotatedFaces`, in the owner's order.

    Args:
        root: folder of the owner's files.
        split: part of the dataset, one of ``sizes``.
        layout: the landmark set. Only :class:`PtsFolder` has a choice; for the others it may be given to make sure
            that it is theirs.
        transform: applied to each item.
        skip_bad: report bad faces and leave them out, instead of raising.
        check_images: read every picture at once, so that a damaged one is found before long work.

    Attributes:
        sizes: the splits, and the number of faces that the owner states for each; None if that is not fixed.
        subsets: indices of the faces of each named part, ``{"pose": [3, 8, ...], ...}``.

    Raises:
        ValueError: if there is no such split, or the dataset has other landmarks than the layout.
        DatasetError: if files are missing (the message says which are expected and where to get them); if a face is bad
            and ``skip_bad`` is not set (it names them all, one per line: file, line, reason); or if none is left.

    Warns:
        UserWarning: if the number of faces is not the owner's: results on them are not those of the dataset.

    Example:
        >>> from pyspiga_geo.data import ThreeHundredW, WFLW
        >>> ThreeHundredW.sizes["full"], WFLW.own_layout
        (689, 'wflw98')
    """

    title: ClassVar[str]
    url: ClassVar[str]
    files: ClassVar[str]
    own_layout: ClassVar[str] = "ibug68"
    any_layout: ClassVar[bool] = False
    sizes: ClassVar[dict[str, int | None]]

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        layout: Layout | None = None,
        transform: Callable[[FaceData], FaceData] | None = None,
        skip_bad: bool = False,
        check_images: bool = False,
    ) -> None:
        super().__init__([], root, layout or get_layout(self.own_layout), transform)
        if self.layout.name != self.own_layout and not self.any_layout:
            # Beyond 1 to 24, one id may name different points in different layouts.
            raise ValueError(f"{self.title} has the landmarks {self.own_layout!r}, not {self.layout.name!r}")
        if split not in self.sizes:
            raise ValueError(f"{self.title} has no split {split!r}, only {', '.join(self.sizes)}")
        self.split = split
        self.subsets: dict[str, list[int]] = {}
        self._require(self._needs())
        problems = []
        total = self.sizes[split]
        for where, face, subsets in tqdm(
            self._find(), desc="checking", unit="face", total=total, leave=False, disable=None if check_images else True
        ):
            if reason := face if isinstance(face, str) else damage(self.root, face.imgpath, check_images):
                problems.append(f"{where}: {reason}")
                continue
            for name in subsets:
                self.subsets.setdefault(name, []).append(len(self.records))
            self.records.append(face)
        count = len(self)
        report_bad(problems, count, skip_bad, DatasetError, str(self.root), self._expected)
        if total not in (None, count):
            warnings.warn(
                f"{self.root}: {count} faces, but {self.title} has {total} in {self.split!r}: "
                "figures on them do not compare with published ones",
                stacklevel=2,
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write annotation records; and the subsets, if there are any, to ``..._subsets.json`` next to them.

        Image paths stay relative to ``root``.

        Args:
            path: of the file of records.
        """
        path = Path(path)
        write_records(path, self.records)
        if self.subsets:
            with atomic_path(path.with_name(f"{path.stem}_subsets.json")) as temporary:
                temporary.write_text(json.dumps(self.subsets), encoding="utf-8")

    def _needs(self) -> Sequence[str]:
        """Files and folders below the root that are needed to read the split."""
        raise NotImplementedError

    def _find(self) -> Iterator[Finding]:
        """All faces of the split, good and bad, in the owner's order."""
        raise NotImplementedError

    def _require(self, names: Sequence[str]) -> None:
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder\n{self._expected}")
        if missing := [name for name in names if not (self.root / name).exists()]:
            raise DatasetError(f"{self.root}: lacks {', '.join(missing)}\n{self._expected}")

    @property
    def _expected(self) -> str:
        return f"Expected there is {self.title}:\n{self.files}\nGet it from {self.url}"


def face_record(
    imgpath: str,
    ids: Sequence[int],
    landmarks: FloatArray,
    visible: FloatArray,
    group: str | None,
    bbox: tuple[float, float, float, float] | None = None,
) -> FaceRecord:
    """A checked face record.

    Args:
        imgpath: picture, relative to the dataset's root.
        ids: the landmark that each row is.
        landmarks: [L, 2] in 0-based pixels; NaN if missing.
        visible: [L], 0 or 1.
        group: photo.
        bbox: x, y, w, h in pixels; the landmarks' tight box if None.

    Raises:
        ValueError: if the number of landmarks is not that of the ids, a landmark is beyond 10,000,000 pixels, or the
            box has no size.
    """
    if len(landmarks) != len(ids):
        raise ValueError(f"{len(landmarks)} points where {len(ids)} are expected")
    far = (np.abs(landmarks) > FARTHEST).any(axis=1)
    if far.any():
        raise ValueError(f"point {far.argmax() + 1} lies beyond {FARTHEST:,} pixels")
    x, y, w, h = bbox or points_to_box(torch.from_numpy(landmarks)).tolist()
    if not (np.isfinite([x, y, w, h]).all() and w > 0 and h > 0):
        raise ValueError(f"the box must have a size above zero, but is [{x}, {y}, {w}, {h}]")
    return FaceRecord(imgpath, (x, y, w, h), tuple(ids), landmarks, visible, None, group)
