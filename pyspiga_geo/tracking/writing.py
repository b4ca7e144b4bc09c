"""Films written by PyAV."""

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
"""Encoders by preference, and their settings: H.264, which every player knows; what is always there; WebM's."""

_SUFFIXES = {".mp4": "faststart", ".m4v": "faststart", ".mov": "faststart", ".mkv": None, ".webm": None}
"""Kinds of films that hold a time stamp for each frame, and where they can how the index comes to the front."""

_TICK = Fraction(1, 60_000)
"""Seconds in which times are counted: the usual rates are whole numbers of it, and MPEG-4 allows no finer one."""

SOFTWARE = "pyspiga-geo"
"""What the comment of every film names as the program that made it."""


class FilmWriter:
    """Encodes frames one after another; made by :func:`write_film`."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._last = -1

    def write(self, pixels: NDArray[np.uint8], time: float) -> None:
        """Add a frame [H, W, 3], RGB, at a time in seconds; each later than the one before."""
        av = import_av()
        height, width = pixels.shape[:2]
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts = self._last = max(round(time / _TICK), self._last + 1)
        frame.time_base = _TICK
        self._container.mux(self._stream.encode(frame))


@contextmanager
def write_film(path: str | os.PathLike[str], width: int, height: int, fps: Fraction | float) -> Iterator[FilmWriter]:
    """Write a film without sound, which appears when all of it is there.

    Args:
        path: the film; its suffix says in which container.
        width: of the frames. Odd sizes are enlarged by a row or column, which encoders want even.
        height: of the frames.
        fps: frames per second, on average.

    Yields:
        The writer of its frames.

    Raises:
        ValueError: for a suffix that is not known, and where PyAV is not installed.
        OSError: when the film cannot be written.
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
    """The encoder to use: the first that is there and that goes into the container."""
    av = import_av()
    for name in _CODECS:
        if name in av.codecs_available and av.codec.Codec(name, "w").canonical_name in container.supported_codecs:
            return name
    raise ValueError(f"PyAV has no encoder for {container.format.long_name}; one of {', '.join(_CODECS)} is needed")
