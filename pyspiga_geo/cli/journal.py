"""The faces of ``predict``, written as they are found, so that a second call continues where the first stopped."""

import glob
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, read_records, record_line, write_records
from pyspiga_geo.data.records import parse_record

_PROGRAM = "pyspiga-geo predict"


class Journal:
    """Faces of many photos in a file of JSON Lines: a line of settings, then a line per photo.

    A file of another kind (.json) is a list of records. Its lines go to a file beside it, which stays until the work is
    done: ``faces.partial.jsonl`` beside ``faces.json``. Each process but the first has a file of its own,
    ``faces.partial1.jsonl``, until the results are put together.

    Args:
        path: the file that the user wants.
        settings: what the faces depend on; work is continued only if they are the same.
        overwrite: start anew even if the file exists.

    Raises:
        ValueError: if the file was started with other settings, or was not written by this program.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
        self.path = path
        self.header = {"program": _PROGRAM, **settings}
        # A pipe or a device gets all at the end.
        self._folder = tempfile.TemporaryDirectory() if path.exists() and not path.is_file() else None
        self.done = frozenset[str]() if overwrite else frozenset(self._lines())
        """Photos whose lines are in the file already."""
        self.resumes = not overwrite and bool(self._files())
        self._file: IO[bytes] | None = None

    def begin(self) -> None:
        """Remove files that are not continued."""
        for file in () if self.resumes else self._files():
            file.unlink()

    def add(self, imgpath: str, faces: Sequence[FaceRecord], process: int = 0) -> None:
        """Write the line of a photo; it is in the file when this returns."""
        if self._file is None:
            self._file = self._open(self._name(process))
        found = ", ".join(record_line(face) for face in faces)
        self._file.write(f'{{"imgpath": {json.dumps(imgpath)}, "faces": [{found}]}}\n'.encode())

    def close(self) -> None:
        """Close the file: this process writes no more lines."""
        if self._file is not None:
            self._file.close()

    def finish(self, photos: Sequence[str], complete: bool) -> None:
        """Put the results of all processes into the file that the user wants; unfinished work is kept to be continued.

        Args:
            photos: the order of the lines.
            complete: whether the work is done.
        """
        self.close()
        files, lines = self._files(), self._lines()
        ordered = [json.dumps(self.header), *(lines[photo] for photo in photos if photo in lines)]
        if self.path.suffix != ".jsonl" and files:
            with tempfile.TemporaryDirectory() as folder:
                together = Path(folder, "faces.jsonl")
                together.write_text("\n".join(ordered), encoding="utf-8")
                write_records(self.path, read_records(together))
        elif complete and files not in ([], [self.path]):
            with atomic_path(self.path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in ordered), encoding="utf-8")
        for file in files:
            if complete and file != self.path:
                file.unlink()
        if self._folder is not None:
            self._folder.cleanup()

    def _name(self, process: int) -> Path:
        """The file of the lines of a process."""
        if process == 0 and self.path.suffix == ".jsonl" and self._folder is None:
            return self.path
        folder = self.path.parent if self._folder is None else Path(self._folder.name)
        return folder / f"{self.path.stem}.partial{process or ''}.jsonl"

    def _files(self) -> list[Path]:
        """The files of lines that are there."""
        first = self._name(0)
        parts = first.parent.glob(f"{glob.escape(self.path.stem)}.partial*.jsonl")
        return [file for file in dict.fromkeys([first, *sorted(parts)]) if file.is_file()]

    def _open(self, file: Path) -> IO[bytes]:
        file.parent.mkdir(parents=True, exist_ok=True)
        goes_on = file.is_file()
        if goes_on:
            os.truncate(file, file.read_bytes().rfind(b"\n") + 1)  # the last line may have been cut off
        opened = file.open("ab", buffering=0)  # a line a write
        if not goes_on or not file.stat().st_size:
            opened.write(json.dumps(self.header).encode() + b"\n")
        return opened

    def _lines(self) -> dict[str, str]:
        """The whole lines of all files, by photo."""
        found: dict[str, str] = {}
        for file in self._files():
            content = file.read_bytes()
            first, *rest = content[: content.rfind(b"\n") + 1].splitlines() or [json.dumps(self.header).encode()]
            try:
                header = json.loads(first)
                known = isinstance(header, dict) and header.get("program") == _PROGRAM
                found |= {_photo_of(line, f"line {row}"): line.decode() for row, line in enumerate(rest, 2) if known}
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{file}: exists, and is damaged or of another kind ({error}); choose another name, or say "
                    "--overwrite to replace it"
                ) from error
            if not known:
                raise ValueError(f"{file}: exists; choose another name, or add --overwrite to replace it")
            for name, value in self.header.items():
                if header.get(name) != value:
                    raise ValueError(
                        f"{file}: was started with {name} {header.get(name)}, not {value}; "
                        "use the same settings, choose another name, or add --overwrite to start anew"
                    )
        return found


def _photo_of(line: bytes, where: str) -> str:
    """The photo whose faces, which are looked at, stand in a line."""
    content = json.loads(line)
    if not isinstance(content, dict) or not isinstance(content.get("imgpath"), str):
        raise ValueError(f"{where} names no photo")
    if not isinstance(content.get("faces"), list):
        raise ValueError(f"{where} has no list of faces")
    for face in content["faces"]:
        parse_record(face, where)
    return str(content["imgpath"])
