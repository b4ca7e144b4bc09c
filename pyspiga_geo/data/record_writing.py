"""Annotation records written as JSON, in the format that :func:`~pyspiga_geo.data.read_records` reads."""

import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data.records import FaceRecord, parse_record


def write_records(path: str | os.PathLike[str], records: Sequence[FaceRecord]) -> None:
    """Write records as strict JSON (NaN becomes null), one per line; the file appears complete or not at all.

    Args:
        path: of the file.
        records: in the order in which they are written.

    Raises:
        RecordError: if a record is invalid; nothing is written.
        OSError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from pyspiga_geo.data import read_records
        >>> face = FaceRecord("a.jpg", (0, 0, 9, 9), (7, 12), np.array([[1.0, 4], [8, 4]]), np.ones(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_records(Path(folder, "faces.json"), [face])
        ...     read_records(Path(folder, "faces.json"))[0].landmarks.tolist()
        [[1.0, 4.0], [8.0, 4.0]]
    """
    lines = ",\n".join(record_line(record, f"{path}: record {index}") for index, record in enumerate(records))
    with atomic_path(path) as temporary:
        temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def record_line(record: FaceRecord, where: str = "record") -> str:
    """A record as one line of strict JSON.

    Args:
        record: the record.
        where: how messages refer to it.

    Returns:
        The line, without its end.

    Raises:
        RecordError: if it is invalid; the message starts with ``where``.

    Example:
        >>> face = FaceRecord("a.jpg", (0, 0, 9, 9), (7, 12), np.array([[1.0, 4], [8, 4]]), np.ones(2))
        >>> record_line(face)[:46]
        '{"imgpath": "a.jpg", "bbox": [0.0, 0.0, 9.0, 9'
    """
    entry = _entry(record)
    parse_record(entry, where)
    return json.dumps(entry, allow_nan=False)


def _entry(record: FaceRecord) -> dict[str, Any]:
    """The JSON object of a record, NaN as null."""

    def numbers(values: npt.ArrayLike) -> list[float | None]:
        return [None if math.isnan(value) else value for value in np.asarray(values, dtype=np.float64).tolist()]

    entry: dict[str, Any] = {
        "imgpath": record.imgpath,
        "bbox": numbers(record.bbox),
        "headpose": None if record.headpose is None else numbers(record.headpose),
        "ids": [int(landmark) for landmark in record.ids],
        "landmarks": [numbers(point) for point in record.landmarks],
        "visible": numbers(record.visible),
    }
    if record.group is not None:
        entry["group"] = record.group
    if record.score is not None:
        entry["score"] = float(record.score)
    if record.sigma is not None:
        entry["sigma"] = numbers(record.sigma)
    return entry
