"""Named parts of a test set: faces that are occluded, turned, indoors, ..."""

import json
import os
from pathlib import Path


def read_subsets(path: str | os.PathLike[str], faces: int) -> dict[str, tuple[int, ...]]:
    """Read a file of subsets: name -> the numbers of its faces, counted from 0 in the order of the annotations.

    A file is an object ``{name: [number, ...], ...}`` in JSON, or holds such an object under ``test_subsets``, as
    the SPIGA authors' ``*_db_info.json`` does. A face may be in several subsets or in none.

    Args:
        path: the file.
        faces: number of faces.

    Returns:
        The numbers of the faces by subset.

    Raises:
        ValueError: if the file cannot be read or has no subsets, or a subset is empty, names a face twice or one that
            does not exist; the message names file and subset.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "subsets.json")
        ...     _ = path.write_text('{"turned": [0, 2]}')
        ...     read_subsets(path, faces=3)
        {'turned': (0, 2)}
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8, and nesting without end
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    subsets = content.get("test_subsets", content) if isinstance(content, dict) else None
    if not isinstance(subsets, dict) or not subsets:
        raise ValueError(
            f"{path}: must hold an object of subsets, name -> list of face numbers, alone or under 'test_subsets'"
        )
    for name, members in subsets.items():
        where = f"{path}: subset {name!r}"
        if not isinstance(members, list) or not members or any(type(face) is not int for face in members):
            raise ValueError(f"{where} must be a list of whole numbers that is not empty")
        if wrong := [face for face in members if not 0 <= face < faces]:
            raise ValueError(f"{where} names face {wrong[0]}, but there are {faces} faces, 0 to {faces - 1}")
        if len(set(members)) < len(members):
            twice = next(face for face in members if members.count(face) > 1)
            raise ValueError(f"{where} names face {twice} more than once")
    return {name: tuple(members) for name, members in subsets.items()}
