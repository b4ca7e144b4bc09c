"""The faces of a film as JSON Lines: a file that grows frame by frame, and that a second run continues."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import torch

from pyspiga_geo.graph import FaceData

FORMAT = "pyspiga-geo faces of a film, 1"
"""Identifies the format in the first line of a file."""


class TrackedFrame(NamedTuple):
    """The faces of a frame.

    Example:
        >>> frame = TrackedFrame(0, 0.0, [FaceData(identity=1, pos=torch.zeros(68, 2))])
        >>> [face.identity for face in frame.faces]
        [1]
    """

    number: int
    """0, 1, 2, ..."""
    time: float
    """Seconds since the first frame."""
    faces: list[FaceData]
    """One graph per face, with its ``identity``."""


def read_tracks(path: str | os.PathLike[str]) -> Iterator[TrackedFrame]:
    """Read the faces that ``pyspiga-geo track`` has written.

    The first line describes film, layout and settings; each other line is a frame. An incomplete line, at the
    end of a file that is still being written or whose writer was killed, is ignored.

    Args:
        path: of the file.

    Yields:
        The frames; each face with ``identity``, and in pixels ``pos`` [L, 2], ``measured`` [L, 2] (before smoothing)
        and ``bbox`` [4]; and if known ``pose`` [6] and ``score``.

    Raises:
        ValueError: if the file has another format; the message names the line.
        OSError: if it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, FaceLines(Path(folder, "a.jsonl"), {}) as lines:
        ...     lines.write(TrackedFrame(0, 0.0, []))
        ...     print(list(read_tracks(Path(folder, "a.jsonl"))))
        [TrackedFrame(number=0, time=0.0, faces=[])]
    """
    for index, line in enumerate(_complete_lines(path)):
        try:
            content = json.loads(line)
            if index == 0:
                if content["format"] != FORMAT:
                    raise ValueError(f"of another form: {content['format']}")
                continue
            frame = TrackedFrame(content["frame"], content["time"], [_face(each) for each in content["faces"]])
            if not 0 <= frame.time < math.inf:
                raise ValueError(f"its time is {frame.time}")
        except (ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
            raise ValueError(f"{path}: line {index + 1} is not a line of tracked faces: {error}") from error
        if frame.number != index - 1:
            raise ValueError(f"{path}: line {index + 1} is frame {frame.number}, frame {index - 1} was expected")
        yield frame


def read_header(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The content of the first line of such a file, or None if there is no such file."""
    if not Path(path).is_file():
        return None
    try:
        first = next(_complete_lines(path), b"")
        header = json.loads(first) if first.startswith(b"{") else None
    except (ValueError, RecursionError):
        return None
    return header if header and header.get("format") == FORMAT else None


class FaceLines:
    """A file of faces that is started, or continued after its last complete line.

    Args:
        path: the file. One that :func:`read_header` does not recognise is replaced.
        header: of the film, its name and size, and the settings: what must be the same when a run is continued.
        overwrite: start anew even if the file exists.

    Raises:
        ValueError: if the file is of another film or other settings; the message names the difference.
        OSError: if it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], header: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path = Path(path)
        wanted = {"format": FORMAT, **header}
        found = read_header(path)
        if overwrite:
            found = None
        elif found is not None and found != wanted:
            raise ValueError(_difference(path, found, wanted))
        self.frames = sum(1 for _ in _complete_lines(path)) - 1 if found is not None else 0
        """How many are there already."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if found is None:
            self._file: BinaryIO = self.path.open("wb")
            self._append(wanted)
        else:
            end = sum(len(line) for line in _complete_lines(path))
            self._file = self.path.open("r+b")
            self._file.truncate(end)  # a last line that was torn when its writer was killed
            self._file.seek(end)

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()

    def write(self, frame: TrackedFrame) -> None:
        """Add a frame; it is handed to the operating system before this returns."""
        faces = [_plain(face) for face in frame.faces]
        self._append({"frame": frame.number, "time": frame.time, "faces": faces})

    def _append(self, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(content, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        self._file.flush()


def _difference(path: str | os.PathLike[str], found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    key = next(key for key in [*wanted, *found] if found.get(key) != wanted.get(key))
    return (
        f"{path}: was made with {key} {found.get(key)!r}, not {wanted.get(key)!r}, and cannot be continued; "
        "choose another name, or add --overwrite to start anew"
    )


def _complete_lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _plain(face: FaceData) -> dict[str, Any]:
    content: dict[str, Any] = {"identity": int(face.identity), "bbox": _rounded(face.bbox)}
    if "score" in face:
        content["score"] = round(float(face.score), 4)
    if "pose" in face:
        content["pose"] = _rounded(face.pose)
    content["landmarks"], content["measured"] = _rounded(face.pos), _rounded(face.measured)
    return content


def _rounded(values: torch.Tensor) -> list[Any]:
    """Numbers to a thousandth."""
    rounded: list[Any] = (values.double() * 1000).round().div(1000).tolist()
    return rounded


def _face(content: Mapping[str, Any]) -> FaceData:
    face = FaceData(
        identity=int(content["identity"]),
        pos=_numbers(content["landmarks"]),
        measured=_numbers(content["measured"]),
        bbox=_numbers(content["bbox"]),
    )
    for name in ("pose", "score"):
        if name in content:
            face[name] = _numbers(content[name])
    points = (face.pos.size(0), 2) if face.pos.dim() else ()
    shapes = {"pos": points, "measured": points, "bbox": (4,), "pose": (6,), "score": ()}
    for name, shape in shapes.items():
        if name in face and face[name].shape != shape:
            raise ValueError(f"{name} has the shape {list(face[name].shape)}")
    return face


def _numbers(value: Any) -> torch.Tensor:
    """Finite numbers."""
    numbers = torch.tensor(value, dtype=torch.float32)
    if not numbers.isfinite().all():
        raise ValueError("a number is not finite")
    return numbers
