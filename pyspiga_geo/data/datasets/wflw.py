"""WFLW (Wu et al., Look at Boundary, CVPR 2018): 98 landmarks, and attributes that define the test subsets."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from pyspiga_geo.data.datasets.published import DatasetError, Finding, PublishedFaces, face_record
from pyspiga_geo.data.records import FaceRecord
from pyspiga_geo.layouts import get_layout

_ATTRIBUTES = ("pose", "expression", "illumination", "makeup", "occlusion", "blur")
_POINTS, _BOX = 2 * 98, 4
_FIELDS = _POINTS + _BOX + len(_ATTRIBUTES) + 1
_LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"


class WFLW(PublishedFaces):
    """WFLW: 98 landmarks (``wflw98``), splits ``train`` and ``test``.

    A line of the owner's list holds 98 points x y; the face's rectangle x_min y_min x_max y_max, which is the box
    here; six flags, 1 if the face belongs to the subset ``pose``, ``expression``, ``illumination``, ``makeup``,
    ``occlusion`` or ``blur``; and the picture. The points are taken for 0-based pixels; the owner does not say.
    Hidden landmarks are not annotated: all count as visible. Faces of one photo are one group.

    See :class:`PublishedFaces` for the arguments.

    Example:
        >>> WFLW.sizes
        {'train': 7500, 'test': 2500}
        >>> faces = WFLW("datasets/wflw", "test")  # doctest: +SKIP
    """

    title = "WFLW"
    url = "https://wywu.github.io/projects/LAB/WFLW.html"
    files = f"  {_LIST.format('train')}\n  {_LIST.format('test')}\n  WFLW_images/ with 0--Parade/, 1--Handshaking/, ..."
    own_layout = "wflw98"
    sizes: ClassVar = {"train": 7500, "test": 2500}

    def _needs(self) -> Sequence[str]:
        return (_LIST.format(self.split), "WFLW_images")

    def _find(self) -> Iterator[Finding]:
        path = self.root / _LIST.format(self.split)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}: line {number}"
                try:
                    yield Finding(where, *_parse(line))
                except ValueError as error:
                    yield Finding(where, str(error))


def _parse(line: str) -> tuple[FaceRecord, tuple[str, ...]]:
    *numbers, picture = line.split()
    if len(numbers) + 1 != _FIELDS:
        raise ValueError(f"{len(numbers) + 1} fields where {_FIELDS} are expected")
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"field {np.flatnonzero(~np.isfinite(values))[0] + 1} is not finite")
    points, (left, top, right, bottom), flags = np.split(values, [_POINTS, _POINTS + _BOX])
    if not np.isin(flags, (0, 1)).all():
        raise ValueError("an attribute is neither 0 nor 1")
    box = (float(left), float(top), float(right - left), float(bottom - top))
    ids = get_layout("wflw98").ids
    face = face_record(f"WFLW_images/{picture}", ids, points.reshape(-1, 2), np.ones(98), picture, box)
    return face, tuple(name for name, flag in zip(_ATTRIBUTES, flags, strict=True) if flag)
