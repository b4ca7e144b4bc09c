"""WFLW (Wu et al., Look at Boundary, CVPR 2018): 98 landmarks, and attributes that name the test subsets."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from pyspiga_geo.data.datasets.distributed import DatasetError, DistributedFaces, Finding, face_record
from pyspiga_geo.layouts import get_layout

_ATTRIBUTES = ("pose", "expression", "illumination", "makeup", "occlusion", "blur")
_POINTS, _BOX = 2 * 98, 4
_FIELDS = _POINTS + _BOX + len(_ATTRIBUTES) + 1
_LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"


class WFLW(DistributedFaces):
    """WFLW, 98 landmarks (``wflw98``), splits ``train`` and ``test``; subsets by the owner's six attributes.

    A line of the owner's list holds 98 points x y, the face's rectangle x_min y_min x_max y_max (the box here), the
    attributes pose, expression, illumination, make-up, occlusion, blur (1 where the face belongs to that subset,
    here called ``makeup`` and so on) and the picture. Points are taken for 0-based pixels; the owner does not say.
    Which single landmarks are hidden is not annotated: all count as visible. Faces of a photo are one group.

    See :class:`DistributedFaces` for the arguments.
    """

    title = "WFLW"
    url = "https://wywu.github.io/projects/LAB/WFLW.html"
    files = (
        f"  {_LIST.format('train')}\n"
        f"  {_LIST.format('test')}\n"
        "  WFLW_images/ with 0--Parade, 1--Handshaking, ..."
    )
    native_layout = "wflw98"
    sizes: ClassVar = {"train": 7500, "test": 2500}

    def _needs(self, split: str) -> Sequence[str]:
        return (_LIST.format(split), "WFLW_images")

    def _find(self, split: str) -> Iterator[Finding]:
        path = self.root / _LIST.format(split)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield _parse(line)
                except ValueError as error:
                    yield Finding(f"{path}: line {number}: {error}")


def _parse(line: str) -> Finding:
    fields = line.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"{len(fields)} fields where {_FIELDS} are expected")
    numbers = [float(field) for field in fields[:-1]]
    if not np.isfinite(numbers).all():
        raise ValueError("holds a number that is not finite")
    flags = numbers[_POINTS + _BOX :]
    if not set(flags) <= {0, 1}:
        raise ValueError("an attribute is neither 0 nor 1")
    left, top, right, bottom = numbers[_POINTS : _POINTS + _BOX]
    face = face_record(
        f"WFLW_images/{fields[-1]}",
        get_layout("wflw98").ids,
        np.array(numbers[:_POINTS]).reshape(-1, 2),
        np.ones(98),
        fields[-1],
        (left, top, right - left, bottom - top),
    )
    return Finding(face, tuple(name for name, flag in zip(_ATTRIBUTES, flags, strict=True) if flag))
