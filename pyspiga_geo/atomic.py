"""Files that appear whole or not at all."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and put what was written in place of ``path`` at the end.

    The temporary file lies in the folder of ``path``, because a rename is atomic only within one file system,
    and ends in the same suffix, because many writers choose their format by it. Missing parent folders are
    made. When the block raises anything, ``KeyboardInterrupt`` included, the temporary file is removed and
    ``path`` stays as it was. A symbolic link stays a link, and what it points to is replaced; a pipe or a device gets
    the finished file's bytes.

    Args:
        path: The file to write or to replace.

    Yields:
        The path to write to; nothing exists there yet.

    Raises:
        OSError: The folder or the file cannot be written, ``path`` is a folder, or the block wrote nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder, "deep", "note.txt")) as temporary:
    ...         _ = temporary.write_text("done")
    ...     [(file.name, file.read_text()) for file in Path(folder, "deep").iterdir()]
    [('note.txt', 'done')]
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "is a folder, a file was expected", os.fspath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, f"finished{Path(path).suffix}")
            yield temporary
            with temporary.open("rb") as finished, open(path, "wb") as sink:
                shutil.copyfileobj(finished, sink)
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not a file of tempfile's: those are private to the user, and would stay so after the rename. Not the target's
    # name with something added either: that may be too long.
    temporary = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
