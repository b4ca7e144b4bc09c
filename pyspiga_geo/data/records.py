"""Annotation records: faces with landmarks, boxes and head poses in a JSON file.

A file is a list with one object per face: ``imgpath``; ``bbox`` [x, y, w, h]; ``ids`` (which landmark each row
is); ``landmarks`` [[x, y], ...] with ``null`` for a missing one; and, if known, ``visible`` [0 or 1, ...],
``headpose`` [yaw, pitch, roll, tx, ty, tz] and ``group``. It is the format of the SPIGA authors' annotations
(https://github.com/andresprados/SPIGA), with ``group`` added, and for predictions ``score`` and ``sigma`` [s, ...].

A file whose name ends in .jsonl has one line per picture, an object with ``imgpath`` and ``faces``, which are records;
lines without ``imgpath`` describe the whole file and are skipped.
"""

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pyspiga_geo.geometry import points_to_box

FloatArray = npt.NDArray[np.float64]

FARTHEST = 10_000_000
"""Largest valid position in pixels: no picture is as large."""

_REQUIRED = {"imgpath", "ids", "landmarks"}
_OPTIONAL = {"bbox", "visible", "headpose", "group", "score", "sigma"}


class RecordError(ValueError):
    """A record or a file of records is invalid; the message says where and why.

    Example:
        >>> read_records("missing.json")
        Traceback (most recent call last):
        pyspiga_geo.data.records.RecordError: missing.json: cannot be read: No such file or directory
    """


@dataclass(frozen=True, eq=False)  # eq=False: arrays have no single truth value to compare by
class FaceRecord:
    """One annotated or predicted face, in pixels of its image (0-based, x to the right, y down).

    Args:
        imgpath: the image, relative to the folder of images. Several faces may share one.
        bbox: face box (x, y, w, h), pixels.
        ids: which landmark each row is, L distinct numbers. 1 to 24 mean the same point in every layout.
        landmarks: float64 [L, 2], pixels; NaN in both coordinates of a landmark that is missing.
        visible: float64 [L], 0 (occluded) to 1 (visible).
        headpose: (yaw, pitch, roll, tx, ty, tz), angles in degrees; None, or NaN entries, if unknown.
        group: photo or person; faces of one group belong on the same side of a training split.
        score: confidence of the detector, 0 to 1; None if unknown.
        sigma: float64 [L], expected error of each landmark along one axis, pixels; None if unknown.

    Example:
        >>> eyes = np.array([[60.0, 80.0], [140.0, 82.0]])
        >>> face = FaceRecord("a.jpg", (50, 60, 100, 110), ids=(7, 12), landmarks=eyes, visible=np.ones(2))
        >>> face.landmarks.shape, face.headpose
        ((2, 2), None)
    """

    imgpath: str
    bbox: tuple[float, float, float, float]
    ids: tuple[int, ...]
    landmarks: FloatArray
    visible: FloatArray
    headpose: tuple[float, float, float, float, float, float] | None = None
    group: str | None = None
    score: float | None = None
    sigma: FloatArray | None = None


def read_records(path: str | os.PathLike[str]) -> list[FaceRecord]:
    """Read and check a file of records.

    ``visible`` defaults to ones, ``headpose`` and ``group`` to None, ``bbox`` to the landmarks' tight box.

    Args:
        path: of the file, ``.json`` or ``.jsonl``.

    Returns:
        The records.

    Raises:
        RecordError: if the file cannot be read, is not JSON, or holds invalid records; the message names
            them all, one per line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "faces.json")
        ...     _ = path.write_text('[{"imgpath": "a.jpg", "ids": [7, 12], "landmarks": [[60, 80], [140, 82]]}]')
        ...     read_records(path)[0].bbox
        (60.0, 80.0, 80.0, 2.0)
    """
    records, problems = parse_records(path)
    if problems:
        raise RecordError("\n".join(reason for _, reason in problems))
    return [record for _, record in records]


def parse_records(
    path: str | os.PathLike[str],
) -> tuple[list[tuple[int, FaceRecord]], list[tuple[int, str]]]:
    """The valid records of a file and the problems of the others, each with its index in the file.

    Raises:
        RecordError: if the file cannot be read or is not a list in JSON.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        entries = _entries_of_lines(text) if Path(path).suffix == ".jsonl" else json.loads(text)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8, and nesting without end
        raise RecordError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(entries, list):
        raise RecordError(f"{path}: must be a list of records, not {type(entries).__name__}")
    records, problems = [], []
    for index, entry in enumerate(entries):
        try:
            records.append((index, parse_record(entry, f"{path}: record {index}")))
        except RecordError as error:
            problems.append((index, str(error)))
    return records, problems


def _entries_of_lines(text: str) -> list[Any]:
    """The records of JSON Lines with one picture per line."""
    pictures = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(picture, dict) for picture in pictures):
        raise ValueError("each line must be an object")
    faces = [picture.get("faces") for picture in pictures if "imgpath" in picture]
    if not all(isinstance(each, list) for each in faces):
        raise ValueError("faces must be a list in each line with imgpath")
    return [face for each in faces for face in each]


def landmarks_for(record: FaceRecord, ids: Sequence[int]) -> FloatArray:
    """Landmarks of a record in a given order.

    Args:
        record: the record.
        ids: of the landmarks wanted.

    Returns:
        float64 [len(ids), 2], pixels; NaN if the record lacks the id.

    Example:
        >>> face = FaceRecord("a.png", (0, 0, 2, 2), (7, 12), np.array([[0.0, 0.0], [2.0, 2.0]]), np.ones(2))
        >>> landmarks_for(face, [12, 7, 1]).tolist()
        [[2.0, 2.0], [0.0, 0.0], [nan, nan]]
    """
    row = {landmark: index for index, landmark in enumerate(record.ids)}
    ordered = np.full((len(ids), 2), np.nan)
    for index, landmark in enumerate(ids):
        if landmark in row:
            ordered[index] = record.landmarks[row[landmark]]
    return ordered


def parse_record(entry: Any, where: str) -> FaceRecord:
    """Convert one JSON object to a record; ``where`` starts every error message.

    Raises:
        RecordError: if it is invalid.
    """
    if not isinstance(entry, dict):
        raise RecordError(f"{where}: must be an object, not {type(entry).__name__}")
    if missing := sorted(_REQUIRED - entry.keys()):
        raise RecordError(f"{where}: lacks {', '.join(missing)}")
    if unknown := sorted(entry.keys() - _REQUIRED - _OPTIONAL):
        raise RecordError(f"{where}: has unknown keys: {', '.join(map(repr, unknown))}")
    imgpath, ids, group = entry["imgpath"], entry["ids"], entry.get("group")
    if not isinstance(imgpath, str) or not imgpath:
        raise RecordError(f"{where}: imgpath must be a non-empty string")
    if not isinstance(ids, list) or not ids or any(type(landmark) is not int for landmark in ids):
        raise RecordError(f"{where}: ids must be a non-empty list of integers")
    if len(set(ids)) < len(ids):
        twice = next(landmark for landmark in ids if ids.count(landmark) > 1)
        raise RecordError(f"{where}: id {twice} occurs more than once")
    if group is not None and not isinstance(group, str):
        raise RecordError(f"{where}: group must be a string or null")
    landmarks = _landmarks(entry["landmarks"], len(ids), where)
    visible = [1.0] * len(ids)
    if entry.get("visible") is not None:
        visible = _numbers(entry["visible"], len(ids), f"{where}: visible")
    if not all(0 <= value <= 1 for value in visible):
        raise RecordError(f"{where}: visible must hold numbers from 0 to 1")
    headpose = None
    if entry.get("headpose") is not None:
        yaw, pitch, roll, tx, ty, tz = _numbers(entry["headpose"], 6, f"{where}: headpose")
        headpose = (yaw, pitch, roll, tx, ty, tz)
    bbox = entry["bbox"] if entry.get("bbox") is not None else points_to_box(torch.from_numpy(landmarks)).tolist()
    x, y, w, h = _numbers(bbox, 4, f"{where}: bbox")
    if not (math.isfinite(x) and math.isfinite(y) and w > 0 and h > 0):  # NaN is not > 0 either
        raise RecordError(f"{where}: bbox must have a position and a size above zero, but is [{x}, {y}, {w}, {h}]")
    if max(abs(x), abs(y), w, h) > FARTHEST:
        raise RecordError(f"{where}: bbox must lie within {FARTHEST:,} pixels, but is [{x}, {y}, {w}, {h}]")
    score = sigma = None
    if entry.get("score") is not None:
        (score,) = _numbers([entry["score"]], 1, f"{where}: score")
        if not 0 <= score <= 1:
            raise RecordError(f"{where}: score must be a number from 0 to 1")
    if entry.get("sigma") is not None:
        sigma = np.array(_numbers(entry["sigma"], len(ids), f"{where}: sigma"))
        if (sigma < 0).any():
            raise RecordError(f"{where}: sigma must not be below 0")
    return FaceRecord(imgpath, (x, y, w, h), tuple(ids), landmarks, np.array(visible), headpose, group, score, sigma)


def _landmarks(value: Any, length: int, where: str) -> FloatArray:
    """Pairs of numbers as float64 [length, 2]; null, [null, null] and [NaN, NaN] are missing landmarks."""
    if not isinstance(value, list) or len(value) != length:
        raise RecordError(f"{where}: landmarks must be a list as long as ids ({length})")
    pairs = [
        [math.nan, math.nan] if pair is None else _numbers(pair, 2, f"{where}: landmark {row}")
        for row, pair in enumerate(value)
    ]
    landmarks = np.array(pairs, dtype=np.float64)
    if (np.abs(landmarks) > FARTHEST).any():
        raise RecordError(f"{where}: landmarks must lie within {FARTHEST:,} pixels")
    half = np.isnan(landmarks).sum(axis=1) == 1
    if half.any():
        raise RecordError(f"{where}: landmark {half.argmax()} has only one of its two coordinates")
    return landmarks


def _numbers(value: Any, length: int, what: str) -> list[float]:
    """A list of ``length`` floats, NaN for null. Infinite numbers, booleans and strings are errors."""
    if not isinstance(value, list) or len(value) != length:
        raise RecordError(f"{what} must be a list of {length} numbers")
    numbers = []
    for item in value:
        number = math.nan if item is None else item
        # Compared before it is converted: float() raises on a whole number beyond its range.
        if type(number) not in (int, float) or abs(number) > sys.float_info.max:
            raise RecordError(f"{what} must hold finite numbers or null, not {str(item)[:40]!r}")
        numbers.append(float(number))
    return numbers
