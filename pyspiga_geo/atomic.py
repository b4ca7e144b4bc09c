"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and put what was written in place of ``path`` at the end.

    The temporary file lies in the folder of ``path``, because a rename is atomic only within one file system,
    and ends in the same suffix, because many writers choose their format by it. Missing parent folders are
    made. When the block raises anything, ``KeyboardInterrupt`` included, the temporary file is removed and
    ``path`` stays as it was.

    Args:
        path: The file to write or to replace.

    Yields:
        The path to write to; nothing exists there yet.

    Raises:
        OSError: The folder or the file cannot be written, or the block wrote nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder, "deep", "note.txt")) as temporary:
    ...         _ = temporary.write_text("done")
    ...     [(file.name, file.read_text()) for file in Path(folder, "deep").iterdir()]
    [('note.txt', 'done')]
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not a file of tempfile's: those are private to the user, and would stay so after the rename.
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
