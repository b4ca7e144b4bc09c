"""Look at all records and pictures before long work, and name every bad one at once."""

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

    Bad are records that break the format (:func:`read_records`), have landmarks other than ``ids`` or none of
    them, or whose picture is missing, damaged or truncated.

    Args:
        path: Annotation-record JSON.
        root: Folder that the records' ``imgpath`` are relative to.
        ids: The landmarks that are wanted.
        skip_bad: Print what is bad and leave it out, instead of stopping.

    Raises:
        RecordError: The file is not a list of records; there is a bad one and ``skip_bad`` is not set (the message
            names them all, one a line: file, index, reason); or none is left.
    """
    records, problems = parse_records(path)
    pictures: dict[str, str | None] = {}  # what is wrong with each; several faces may share one
    sound: list[FaceRecord] = []
    for index, record in tqdm(records, desc="checking", unit="face", leave=False):
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
    """Tell of all bad faces at once, and stop where they are not to be left out or none remains.

    Args:
        problems: what is wrong, one line each.
        sound: number of faces that are not bad.
        skip_bad: print what is bad, instead of stopping.
        error: what is raised.
        where: the file or folder that has no face left.
        hint: said where none is left.
    """
    lines = "\n".join(problems)
    if problems and not skip_bad:
        raise error(f"{lines}\n{len(problems)} bad of {sound + len(problems)} faces; skip_bad leaves them out")
    if not sound:
        raise error(f"{lines}\n{where}: no face to work with\n{hint}".strip())
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
