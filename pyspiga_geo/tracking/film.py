"""Process a whole film: read its frames, follow its faces, save and draw them."""

import os
from collections.abc import Generator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyspiga_geo.tracking.ahead import ahead
from pyspiga_geo.tracking.lines import FaceLines, TrackedFrame, read_tracks
from pyspiga_geo.tracking.reading import Film, Frame
from pyspiga_geo.tracking.tracker import FaceTracker
from pyspiga_geo.tracking.writing import write_film


def track_film(
    film: Film,
    tracker: FaceTracker,
    json: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> Generator[TrackedFrame]:
    """Follow the faces of a film, and write them to files while the work goes on.

    Frames are decoded in a separate thread while the model is running. If ``json`` exists from an earlier run, the
    frames in it are not computed again, and the tracker continues as if it had never stopped.

    Args:
        film: see :func:`~pyspiga_geo.tracking.read_film`.
        tracker: one that has not seen a frame yet.
        json: JSON Lines, one line per frame (:func:`~pyspiga_geo.tracking.read_tracks`).
        out: the film with its faces drawn, without sound; it appears when it is finished. Default: none.
        about: further facts for the first line of ``json``; they must be the same when the work is continued.
        overwrite: replace ``json`` if it exists.

    Yields:
        The faces of each frame, those of an earlier run included. A camera runs until it is interrupted
        (``KeyboardInterrupt``) or the iterator is closed, which finishes its film properly.

    Raises:
        ValueError: if the film cannot be decoded, or ``json`` is of another film or other settings.
        OSError: if a file cannot be written.

    Example:
        >>> import tempfile
        >>> from pyspiga_geo import FaceAligner
        >>> from pyspiga_geo.tracking import read_film
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number in range(2):  # a film without faces
        ...         Image.new("RGB", (64, 48)).save(Path(folder, f"{number}.png"))
        ...     frames = track_film(read_film(folder), FaceTracker(FaceAligner("compact")), Path(folder, "faces.jsonl"))
        ...     [(frame.number, len(frame.faces)) for frame in frames]
        [(0, 0), (1, 0)]
    """
    header = {**film_header(film), "layout": tracker.aligner.layout.name, **tracker.settings, **(about or {})}
    writing = nullcontext() if out is None else write_film(out, film.width, film.height, film.fps)
    with writing as writer, FaceLines(json, header, overwrite) as lines, closing(ahead(film)) as frames:
        done, known = lines.frames, read_tracks(json)
        try:
            for frame in frames:
                if frame.number < done:
                    tracked = _again(frame, next(known), tracker, json)
                else:
                    tracked = TrackedFrame(frame.number, frame.time, tracker(frame.pixels, frame.time))
                    lines.write(tracked)
                if writer is not None:
                    writer.write(_drawn(frame, tracked, tracker), frame.time)
                yield tracked
        except (KeyboardInterrupt, GeneratorExit):
            if film.kind != "camera":
                raise


def film_header(film: Film) -> dict[str, Any]:
    """Identity of a film: name, bytes (except for folders and cameras), size and frames per second."""
    path = Path(film.source)
    return {
        "film": path.resolve().name if path.is_dir() else path.name,
        "bytes": path.stat().st_size if path.is_file() else None,
        "width": film.width,
        "height": film.height,
        "fps": float(film.fps),
    }


def _again(frame: Frame, known: TrackedFrame, tracker: FaceTracker, json: str | os.PathLike[str]) -> TrackedFrame:
    if abs(known.time - frame.time) > 1e-6:
        raise ValueError(f"{json}: is of another film: frame {frame.number} is at {known.time} s, not {frame.time} s")
    tracker.replay(known.time, {int(face.identity): face.measured for face in known.faces})
    return known


def _drawn(frame: Frame, tracked: TrackedFrame, tracker: FaceTracker) -> NDArray[np.uint8]:
    # Here and not above: matplotlib, which comes with it, takes a second to import.
    from pyspiga_geo.visualization import draw_overlay

    return np.asarray(draw_overlay(Image.fromarray(frame.pixels), tracked.faces, tracker.aligner.layout))
