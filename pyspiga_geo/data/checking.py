"""Check all records and pictures before long work, and report every bad one at once."""

import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from pyspiga_geo.data.images import ImageError, find_image, read_image
from pyspiga_geo.data.records import FaceRecord, RecordError, landmarks_for, parse_records


def sound_faces(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    ids: Sequence[int],
    skip_bad: bool = False,
) -> list[FaceRecord]:
    """Read the records of a file whose pictures can be read too, showing progress.

    A record is bad if it breaks the format (:func:`read_records`), has landmarks other than ``ids`` or none of
    them, or its picture is missing, damaged or truncated.

    Args:
        path: annotation records in JSON.
        root: folder that the records' ``imgpath`` are relative to.
        ids: the landmarks that are wanted.
        skip_bad: report bad records and leave them out, instead of raising.

    Returns:
        The good records.

    Raises:
        RecordError: if the file is not a list of records; if there is a bad one and ``skip_bad`` is not set (the
            message names them all, one per line: file, index, reason); or if none is left.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from pyspiga_geo.data import write_records
        >>> face = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[1.0, 4], [8, 4]]), np.ones(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (10, 10)).save(Path(folder, "a.png"))
        ...     write_records(Path(folder, "faces.json"), [face])
        ...     len(sound_faces(Path(folder, "faces.json"), folder, ids=(7, 12)))
        1
    """
    records, problems = parse_records(path)
    pictures: dict[str, str | None] = {}  # what is wrong with each; several faces may share one
    sound: list[FaceRecord] = []
    for index, record in tqdm(records, desc="checking", unit="face", leave=False, disable=None):
        if record.imgpath not in pictures:
            pictures[record.imgpath] = damage(root, record.imgpath)
        reason = pictures[record.imgpath]
        foreign = sorted(set(record.ids) - set(ids))
        if foreign:  # ids above 24 mean other points in other layouts: they must not match by accident
            reason = f"has landmarks of another layout (ids {', '.join(map(str, foreign[:5]))}, ...)"
        elif np.isnan(landmarks_for(record, ids)).all():
            reason = "has none of the landmarks that are wanted"
        if reason is None:
            sound.append(record)
        else:
            problems.append((index, f"{path}: record {index}: {reason}"))
    report_bad([reason for _, reason in sorted(problems)], len(sound), skip_bad, RecordError, str(path))
    return sound


def report_bad(
    problems: Sequence[str], sound: int, skip_bad: bool, error: type[RecordError], where: str, hint: str = ""
) -> None:
    """Report all bad faces at once, and raise unless they are to be left out and some remain.

    Args:
        problems: what is wrong, one line each.
        sound: number of good faces.
        skip_bad: print the problems, instead of raising.
        error: the class to raise.
        where: the file or folder that has no face left.
        hint: added to the message if none is left.
    """
    lines = "\n".join(problems)
    if problems and not skip_bad:
        raise error(f"{lines}\n{len(problems)} bad of {sound + len(problems)} faces; skip_bad leaves them out")
    if not sound:
        raise error(f"{lines}\n{where}: no usable face\n{hint}".strip())
    if problems:
        said = f"{lines}\n{len(problems)} bad faces are left out, {sound} remain"
        print(said.encode("utf-8", "backslashreplace").decode())  # names of files may be no Unicode


def damage(root: str | os.PathLike[str], imgpath: str, read: bool = True) -> str | None:
    """What is wrong with a picture below a folder, or None; ``read``: look into it, not only for it."""
    try:
        path = find_image(root, imgpath)
        if read:
            read_image(path)
    except ImageError as error:
        return str(error)
    return None
