"""Writing films with PyAV."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.tracking.decoding import import_av

_CODECS = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qscale": "4"}, "libvpx-vp9": {"crf": "30"}}
"""Encoders by preference, with their settings: H.264, which every player supports; MPEG-4, always present; WebM's."""

_SUFFIXES = {".mp4": "faststart", ".m4v": "faststart", ".mov": "faststart", ".mkv": None, ".webm": None}
"""Kinds of films that store a time stamp per frame, and the option that puts the index first, if there is one."""

_TICK = Fraction(1, 60_000)
"""Unit of time in seconds: the usual frame times are multiples of it, and MPEG-4 allows no finer one."""

SOFTWARE = "pyspiga-geo"
"""Name of this program in the comment of every film."""


class FilmWriter:
    """Encodes frames one after another; made by :func:`write_film`.

    Args:
        container: PyAV's output container.
        stream: its video stream.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, write_film(Path(folder, "a.mkv"), 64, 48, 25) as writer:
        ...     writer.write(np.zeros((48, 64, 3), dtype=np.uint8), time=0.0)
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._last = -1

    def write(self, pixels: NDArray[np.uint8], time: float) -> None:
        """Add a frame.

        Args:
            pixels: [H, W, 3], RGB.
            time: in seconds, later than that of the frame before.
        """
        av = import_av()
        height, width = pixels.shape[:2]
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts = self._last = max(round(time / _TICK), self._last + 1)
        frame.time_base = _TICK
        self._container.mux(self._stream.encode(frame))


@contextmanager
def write_film(path: str | os.PathLike[str], width: int, height: int, fps: Fraction | float) -> Iterator[FilmWriter]:
    """Write a film without sound, which appears when it is complete.

    Args:
        path: the film; its suffix determines the container.
        width: of the frames. Odd sizes are padded by a row or column, because encoders need even sizes.
        height: of the frames.
        fps: frames per second, on average.

    Yields:
        The writer of its frames.

    Raises:
        ValueError: if the suffix is not known, or PyAV is not installed.
        OSError: if the film cannot be written.

    Example:
        >>> import tempfile
        >>> from pyspiga_geo.tracking import read_film
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "grey.mkv")
        ...     with write_film(path, 64, 48, fps=10) as writer:
        ...         for number in range(3):
        ...             writer.write(np.full((48, 64, 3), 128, dtype=np.uint8), number / 10)
        ...     [round(frame.time, 2) for frame in read_film(path)]
        [0.0, 0.1, 0.2]
    """
    av = import_av()
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{os.fspath(path)}: the name of a film must end in one of {', '.join(_SUFFIXES)}")
    options = {} if _SUFFIXES[suffix] is None else {"movflags": _SUFFIXES[suffix]}
    with atomic_path(path) as temporary, av.open(os.fspath(temporary), "w", options=options) as container:
        container.metadata["comment"] = SOFTWARE
        codec = _codec(container)
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(60_000), options=dict(_CODECS[codec]))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TICK
        writer = FilmWriter(container, stream)
        yield writer
        container.mux(stream.encode(None))


def is_own_film(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a film that this program wrote."""
    av = import_av()
    try:
        with av.open(os.fspath(path)) as container:
            return container.metadata.get("comment", container.metadata.get("COMMENT")) == SOFTWARE
    except (ValueError, OSError):
        return False


def _codec(container: Any) -> str:
    """The first encoder that is installed and that the container supports."""
    av = import_av()
    for name in _CODECS:
        if name in av.codecs_available and av.codec.Codec(name, "w").canonical_name in container.supported_codecs:
            return name
    raise ValueError(f"PyAV has no encoder for {container.format.long_name}; one of {', '.join(_CODECS)} is needed")
