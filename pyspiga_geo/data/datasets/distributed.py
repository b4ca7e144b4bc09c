"""Datasets in the layouts in which their owners distribute them: what they all share."""

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
from pyspiga_geo.data.datasets.annotations import AnnotatedFaces
from pyspiga_geo.data.images import ImageError, read_image
from pyspiga_geo.data.records import FaceRecord, FloatArray, RecordError, landmarks_for, write_records
from pyspiga_geo.geometry import points_to_box
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout, get_layout


class DatasetError(RecordError):
    """A dataset's files are missing or not as its owner distributes them; the message says which and why."""


class Finding(NamedTuple):
    """A face in its owner's files, or the reason why it cannot be used; and the subsets it belongs to."""

    face: FaceRecord | str
    subsets: tuple[str, ...] = ()


class DistributedFaces(AnnotatedFaces):
    """Faces of a dataset as its owner distributes it. Each subclass reads one dataset.

    Items are those of :class:`AnnotatedFaces`; :attr:`subsets` tells which faces belong to which named part.

    Args:
        root: folder that holds the owner's files.
        split: part of the dataset, one of :attr:`sizes`.
        layout: order of the landmarks of an item; the dataset's own where None.
        transform: applied to each item.
        skip_bad: print what is bad and leave it out, instead of stopping.
        check_images: read every picture now, with a progress bar, so that a damaged one is found before long work.

    Attributes:
        sizes: splits, and how many faces the owner counts in each; None where it is not fixed.
        subsets: indexes of the faces of each named part, {"pose": [3, 8, ...], ...}.

    Raises:
        DatasetError: files are missing (the message says which are expected and where to get them); a face is bad
            (it names them all, one a line: file, line, reason) and ``skip_bad`` is not set; or none is left.
        ValueError: the dataset has no such split.

    Warns:
        UserWarning: there are not as many faces as the owner counts, so figures are not those of the whole dataset.
    """

    title: ClassVar[str]
    url: ClassVar[str]
    files: ClassVar[str]
    native_layout: ClassVar[str] = "ibug68"
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
        if split not in self.sizes:
            raise ValueError(f"{self.title} has no split {split!r}, only {', '.join(self.sizes)}")
        layout = layout or get_layout(self.native_layout)
        super().__init__([], root, layout, transform)
        self.split = split
        self.subsets: dict[str, list[int]] = {}
        self._require(split)
        problems = []
        findings = self._find(split)
        if check_images:
            findings = tqdm(findings, desc="checking", unit="face", leave=False)
        for face, subsets in findings:
            reason = face if isinstance(face, str) else self._flaw(face, check_images)
            if reason is None and isinstance(face, FaceRecord):
                for name in subsets:
                    self.subsets.setdefault(name, []).append(len(self.records))
                self.records.append(face)
            else:
                problems.append(reason)
        self._report(problems, skip_bad)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write annotation records, and the subsets beside them in a file that ends in ``_subsets.json``.

        Image paths stay relative to :attr:`root`.
        """
        path = Path(path)
        write_records(path, self.records)
        with atomic_path(path.with_name(f"{path.stem}_subsets.json")) as temporary:
            temporary.write_text(json.dumps(self.subsets), encoding="utf-8")

    def _needs(self, split: str) -> Sequence[str]:
        """Files and folders below the root without which the split cannot be read."""
        raise NotImplementedError

    def _find(self, split: str) -> Iterator[Finding]:
        """All faces of the split, good and bad, in the owner's order."""
        raise NotImplementedError

    def _require(self, split: str) -> None:
        if missing := [name for name in self._needs(split) if not (self.root / name).exists()]:
            raise DatasetError(
                f"{self.root}: there is no {', no '.join(missing)}\n"
                f"{self.title} is expected there as its owner distributes it:\n{self.files}\n"
                f"It is to be had at {self.url}"
            )

    def _flaw(self, face: FaceRecord, check_image: bool) -> str | None:
        """What is wrong with a face that its file describes well."""
        path = self.root / face.imgpath
        if np.isnan(landmarks_for(face, self.layout.ids)).all():
            return f"{path}: has no landmark of the layout {self.layout.name!r}"
        if not check_image:
            return None if path.is_file() else f"{path}: no such file"
        try:
            read_image(path)
        except ImageError as error:
            return str(error)
        return None

    def _report(self, problems: Sequence[str | None], skip_bad: bool) -> None:
        lines = "".join(f"{reason}\n" for reason in problems)
        count = len(self.records)
        if problems and not skip_bad:
            raise DatasetError(
                f"{lines}{len(problems)} bad of {count + len(problems)} faces; skip_bad leaves them out"
            )
        if not count:
            raise DatasetError(f"{lines}{self.root}: no face of {self.title}, {self.split}")
        if problems:
            print(f"{lines}{len(problems)} bad faces are left out, {count} remain")
        expected = self.sizes[self.split]
        if expected not in (None, count):
            warnings.warn(
                f"{self.root}: {count} faces; {self.title} has {expected} in {self.split!r}, "
                "so figures do not compare with published ones",
                stacklevel=3,
            )


def face_record(
    imgpath: str,
    ids: Sequence[int],
    landmarks: FloatArray,
    visible: FloatArray,
    group: str | None,
    bbox: Sequence[float] | None = None,
) -> FaceRecord:
    """A face record, checked; the box is the landmarks' tight one where none is given.

    Args:
        imgpath: picture, relative to the dataset's root.
        ids: the landmark each row is.
        landmarks: [L, 2] pixels, 0-based; NaN where missing.
        visible: [L], 0 or 1.
        group: photo.
        bbox: x, y, w, h in pixels.

    Raises:
        ValueError: wrong number of landmarks, an infinite coordinate, or a box without size.
    """
    if len(landmarks) != len(ids):
        raise ValueError(f"{len(landmarks)} landmarks where {len(ids)} are expected")
    if np.isinf(landmarks).any():
        raise ValueError("a coordinate is infinite")
    x, y, w, h = points_to_box(torch.from_numpy(landmarks)).tolist() if bbox is None else bbox
    if not (np.isfinite([x, y, w, h]).all() and w > 0 and h > 0):
        raise ValueError(f"the box must have a size above zero, but is x {x}, y {y}, w {w}, h {h}")
    return FaceRecord(imgpath, (x, y, w, h), tuple(ids), landmarks, visible, None, group)
