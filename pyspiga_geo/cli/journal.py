"""What ``predict`` found, written as the work is done, so that a second call goes on where the first one stopped."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, read_records, record_line, write_records

_PROGRAM = "pyspiga-geo predict"


class Journal:
    """Faces of many photos in a file of JSON Lines: a line of settings, then a line per photo.

    A file of another kind (.json) is a list of records. Its lines go to a file beside it, which stays until the work is
    done: ``faces.partial.jsonl`` beside ``faces.json``.

    Args:
        path: the file that the user wants.
        settings: what the faces depend on; work is only gone on with where it is the same.
        overwrite: begin anew, whatever is there.

    Raises:
        ValueError: there is a file of lines that was begun with other settings, or is none of this program.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
        self.path = path
        self.header = {"program": _PROGRAM, **settings}
        self.lines = path if path.suffix == ".jsonl" else path.with_suffix(".partial.jsonl")
        self._folder = None
        if path.exists() and not path.is_file():  # a pipe or a device gets all at the end
            self._folder = tempfile.TemporaryDirectory()
            self.lines = Path(self._folder.name, "faces.jsonl")
        self._file: IO[bytes] | None = None
        self.done: frozenset[str] = frozenset()
        """Photos whose lines were there already."""
        self.resumes = self.lines.is_file() and not overwrite
        self._sound_bytes = 0
        if self.resumes:
            self.done = self._read()

    def add(self, imgpath: str, faces: Sequence[FaceRecord]) -> None:
        """Write the line of a photo; it is in the file when this returns."""
        found = ", ".join(record_line(face) for face in faces)
        self._open().write(f'{{"imgpath": {json.dumps(imgpath)}, "faces": [{found}]}}\n'.encode())

    def close(self, complete: bool) -> None:
        """Put all that was found into the file that the user wants; what was begun stays to be gone on with."""
        if self._file is not None:
            self._file.close()
        if not self.lines.is_file():
            return
        if self.path.suffix != ".jsonl":
            write_records(self.path, read_records(self.lines))
            if complete:
                self.lines.unlink()
        elif self.lines != self.path:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(self.lines.read_bytes())
        if self._folder is not None:
            self._folder.cleanup()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self.lines.parent.mkdir(parents=True, exist_ok=True)
            if self.resumes:
                os.truncate(self.lines, self._sound_bytes)
            self._file = self.lines.open("ab" if self.resumes else "wb", buffering=0)  # a line a write
            if not self.resumes:
                self._file.write(json.dumps(self.header).encode() + b"\n")
        return self._file

    def _read(self) -> frozenset[str]:
        """Photos that have whole lines; the last one may have been cut off."""
        content = self.lines.read_bytes()
        self._sound_bytes = content.rfind(b"\n") + 1
        first, *rest = content[: self._sound_bytes].splitlines() or [b""]
        try:
            header = json.loads(first)
            known = isinstance(header, dict) and header.get("program") == _PROGRAM
            photos = frozenset(json.loads(line)["imgpath"] for line in rest)
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ValueError(f"{self.lines}: exists; choose another name, or say --overwrite to replace it")
        for name, value in self.header.items():
            if header.get(name) != value:
                raise ValueError(
                    f"{self.lines}: was begun with {name} {header.get(name)}, not {value}; "
                    "go on as it was begun, choose another name, or say --overwrite to begin anew"
                )
        return photos
