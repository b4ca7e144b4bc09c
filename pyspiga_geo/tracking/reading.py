"""Films, folders of frames and cameras, as frames with time stamps."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyspiga_geo.tracking.decoding import Stamped, decode, probe
from pyspiga_geo.tracking.folders import frame_files, read_frames

_FPS = 25
"""Frames per second of sources that do not know their own."""


class Frame(NamedTuple):
    """A picture of a film.

    Example:
        >>> Frame(number=3, time=0.12, pixels=np.zeros((48, 64, 3), dtype=np.uint8)).pixels.shape
        (48, 64, 3)
    """

    number: int
    """0, 1, 2, ..."""
    time: float
    """Seconds since the first frame."""
    pixels: NDArray[np.uint8]
    """[H, W, 3], RGB."""


@dataclass(frozen=True)
class Film:
    """A film whose frames are read by iterating over it, each time from the beginning.

    Iterating raises a ValueError that names the film, or the frame of a folder, if it cannot be read.

    Example:
        >>> still = Film(
        ...     "still", "film", 64, 48, Fraction(25), 1, lambda: iter([(0.0, np.zeros((48, 64, 3), np.uint8))])
        ... )
        >>> [(frame.number, frame.time) for frame in still]
        [(0, 0.0)]
    """

    source: str
    """File, folder or device."""
    kind: Literal["film", "folder", "camera"]
    """Where the frames come from."""
    width: int
    """Of the frames, in pixels."""
    height: int
    """Of the frames, in pixels."""
    fps: Fraction
    """Frames per second, on average where they vary."""
    frames: int | None
    """Approximate number of frames; None if not known."""
    read: Callable[[], Iterator[Stamped]] = field(repr=False)
    """Starts reading: yields time stamps in seconds, if there are any, and pixels [H, W, 3]."""

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames."""
        start = last = None
        for number, (stamp, pixels) in enumerate(self.read()):
            if start is None or last is None:
                start, last = stamp or 0.0, 0.0
            elif stamp is not None and stamp - start > last:
                last = stamp - start
            else:  # no time stamp, or one that goes back
                last += float(1 / self.fps)
            yield Frame(number, last, pixels)


def read_film(source: str | os.PathLike[str], fps: float | None = None) -> Film:
    """Open a film.

    Args:
        source: a film that FFmpeg can read; a folder of frames, in natural order (``frame9``, ``frame10``);
            or a camera by its device name, such as ``/dev/video0``. All but folders need PyAV.
        fps: frames per second of a folder (default 25), or those requested from a camera. Films know theirs.

    Returns:
        Size, rate and length; iterate over it for the frames, rotated upright as the film's metadata say.

    Raises:
        ValueError: if it is not a film, or PyAV is not installed.
        FileNotFoundError: if there is no such file, folder or camera.
        OSError: if it cannot be opened.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number in range(3):
        ...         Image.new("RGB", (64, 48)).save(Path(folder, f"{number}.png"))
        ...     film = read_film(folder, fps=10)
        ...     print(film.frames, [(frame.time, frame.pixels.shape) for frame in film])
        3 [(0.0, (48, 64, 3)), (0.1, (48, 64, 3)), (0.2, (48, 64, 3))]
    """
    name, path = os.fspath(source), Path(source)
    if fps is not None and not 0 < fps <= 1000:
        raise ValueError(f"fps must be above 0 and at most 1000, got {fps}")
    if path.is_dir():
        files = frame_files(path)
        rate = Fraction(fps or _FPS).limit_denominator(1001)
        (_, first), *_ = read_frames(files[:1], rate)
        height, width = first.shape[:2]
        return Film(name, "folder", width, height, rate, len(files), lambda: read_frames(files, rate))
    camera = is_camera(source)
    if not path.exists():
        raise FileNotFoundError(2, "no such camera" if camera else "no such film or folder", name)
    if fps is not None and not camera:
        raise ValueError(f"{name}: a film knows its frames per second; fps is for folders and cameras")
    width, height, known, frames = probe(name, camera, fps)
    kind: Literal["film", "camera"] = "camera" if camera else "film"
    return Film(name, kind, width, height, known or Fraction(_FPS), frames, lambda: decode(name, camera, fps))


def is_camera(source: str | os.PathLike[str]) -> bool:
    """Whether this is the name of a device."""
    path = os.fspath(source)
    return path.startswith("/dev/") or (os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode))
