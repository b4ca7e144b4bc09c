"""Films and cameras read by PyAV, which is imported on demand."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stamped = tuple[float | None, NDArray[np.uint8]]
"""A time stamp in seconds, if there is one, and a frame [H, W, 3], RGB."""


def import_av() -> Any:
    """Import PyAV.

    Raises:
        ValueError: if it is not installed; the message says how to install it.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(f"films need one more package: pip install 'pyspiga-geo[video]' ({error})") from error
    return av


def probe(source: str, camera: bool, fps: float | None) -> tuple[int, int, Fraction | None, int | None]:
    """Width and height of the frames, frames per second and approximate number of frames; None for what is not known.

    Raises:
        ValueError: if the source is not a film, or has no pictures.
        OSError: if it cannot be opened.
    """
    with _open(source, camera, fps) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        frames = stream.frames or (round(container.duration / 1e6 * rate) if container.duration and rate else None)
        first = next(_frames(container), None)
        if first is None:
            raise ValueError(f"{source}: has no pictures")
        height, width = _upright(first).shape[:2]
    return width, height, rate, None if camera else frames


def decode(source: str, camera: bool, fps: float | None) -> Iterator[Stamped]:
    """The frames, rotated upright. Damaged parts are skipped, with a warning at the end.

    Raises:
        ValueError, OSError: as :func:`probe`.
    """
    with _open(source, camera, fps) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in _frames(container):
            yield frame.time, _upright(frame)


def _open(source: str, camera: bool, fps: float | None) -> Any:
    av = import_av()
    try:
        if camera:
            container = av.open(source, format="v4l2", options={} if fps is None else {"framerate": str(fps)})
        else:
            container = av.open(source)
    except ValueError as error:  # FFmpeg's "invalid data", or a format it does not know
        raise ValueError(f"{source}: not a {'camera' if camera else 'film'} that can be read") from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"{source}: has no pictures")
    return container


def _frames(container: Any) -> Iterator[Any]:
    damaged = 0
    for packet in container.demux(container.streams.video[0]):
        try:
            yield from packet.decode()
        except ValueError:  # FFmpeg's "invalid data"
            damaged += 1
    if damaged:
        warnings.warn(f"{container.name}: {damaged} damaged parts were left out", stacklevel=2)


def _upright(frame: Any) -> NDArray[np.uint8]:
    """Pixels [H, W, 3], rotated as the metadata of phone films require."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
