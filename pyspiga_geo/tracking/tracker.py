"""Faces followed from frame to frame."""

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyspiga_geo.data import as_photo
from pyspiga_geo.geometry import points_to_box
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference import FaceAligner, FaceBoxes, Photo
from pyspiga_geo.inference.any_angle import find_at_any_angle
from pyspiga_geo.inference.boxes import as_boxes
from pyspiga_geo.tracking.identities import Identities
from pyspiga_geo.tracking.matching import assign, box_distance, box_overlap
from pyspiga_geo.tracking.smoother import FaceSmoother
from pyspiga_geo.tracking.smoothing import BETA, MIN_CUTOFF
from pyspiga_geo.tracking.tracks import Track, box_along, tilt, upright_rows

_JUMP = 0.6
"""Largest distance of a face from its expected position, see :func:`box_distance`; beyond it the landmarks are
rejected.
"""

_SAME = 0.5
"""Overlap of two sets of landmarks above which they are on one face."""

_FOUND = 0.3
"""Overlap with landmarks above which a box of the detector belongs to their face."""

_GRID = 1000
"""Steps per pixel to which landmarks are rounded, so that a file holds them exactly."""

_PATIENCE = 3
"""Consecutive runs of the detector that may miss a face before it is lost."""


class _Sighting(NamedTuple):
    """A face in the current frame."""

    face: FaceData
    box: Tensor
    track: Track | None
    """The one that was followed here; None where the detector found it."""


class FaceTracker:
    """Find the faces of a film frame by frame, and keep their identities.

    A face is searched where its landmarks were in the frame before, moved on by its velocity. The detector looks for
    new faces in every ``detect_every``-th frame, and in each frame while a face is lost. A face is lost if its box
    jumps, if it leaves the picture, if it moves onto another face, or if the detector does not find it three times in a
    row. If it comes back within 1.5 seconds near its expected position, it keeps its identity; no
    identity is given twice. If two faces have hidden each other, the motion of each before decides.

    Faces are known by position and motion, not by appearance: a person who sits where another sat before a cut is taken
    for the other. A tracker is for one film, and for one thread.

    Args:
        aligner: finds landmarks, and by its detector faces.
        detect_every: frames from one run of the detector to the next.
        upright: look for faces that are tilted by up to about 45 degrees; False: by any angle, which takes the
            detector four times as long. Faces that are followed may turn in either case.
        smooth: smooth landmarks by a :class:`FaceSmoother`.
        min_cutoff: of its filters, Hz. Lower: less jitter of faces at rest.
        beta: of its filters, Hz per face size and second. Higher: less lag of faces in motion.

    Raises:
        ValueError: if a setting is out of range; the message names it.

    Example:
        >>> from skimage.data import astronaut
        >>> tracker = FaceTracker(FaceAligner("compact"))
        >>> for number in range(2):
        ...     frame = np.roll(astronaut()[:256], 4 * number, axis=1)
        ...     print([(face.identity, tuple(face.pos.shape)) for face in tracker(frame, number / 25)])
        [(1, (68, 2))]
        [(1, (68, 2))]
    """

    def __init__(
        self,
        aligner: FaceAligner,
        detect_every: int = 10,
        *,
        upright: bool = True,
        smooth: bool = True,
        min_cutoff: float = MIN_CUTOFF,
        beta: float = BETA,
    ) -> None:
        if detect_every < 1:
            raise ValueError(f"detect_every must be 1 or more, got {detect_every}")
        FaceSmoother(min_cutoff, beta)  # which checks them
        self.aligner, self.detect_every = aligner, detect_every
        self.settings = {
            "detect_every": detect_every,
            "any_angle": not upright,
            "smooth": smooth,
            "min_cutoff": min_cutoff,
            "beta": beta,
        }
        """What was asked for."""
        self._upright = upright_rows(aligner.layout)
        self._identities = Identities(lambda: FaceSmoother(min_cutoff, beta) if smooth else None)
        self._frames, self._time = 0, -math.inf

    def __call__(self, frame: Photo, time: float) -> list[FaceData]:
        """Find the faces of the next frame.

        Args:
            frame: see :data:`~pyspiga_geo.inference.Photo`.
            time: seconds, later than that of the frame before.

        Returns:
            A graph per face, ordered by identity, as :class:`~pyspiga_geo.inference.FaceAligner` returns it. In
            addition ``identity``, 1, 2, ... in the order of appearance, and ``measured`` [L, 2], the landmarks in
            pixels before smoothing. ``pos`` is smoothed, ``bbox`` its tight box; the other fields are those of this
            frame alone. ``score`` is present in frames in which the detector has run.

        Raises:
            ValueError: if the time is not later than the one before, or the frame is invalid.
        """
        self._check_time(time)
        if not isinstance(frame, np.ndarray | Tensor):
            frame = as_photo(frame)
        seen = self._follow(frame, time)
        known = self._identities.tracks.values()
        if self._frames % self.detect_every == 0 or len(seen) < len(known) or any(track.missed for track in known):
            seen = self._detect(frame, seen)
        who = self._identities.identify(_boxes(seen), [sighting.track for sighting in seen], time)
        faces = {
            identity: sighting.face for identity, sighting in sorted(zip(who, seen, strict=True), key=itemgetter(0))
        }
        self.replay(time, {identity: face.pos for identity, face in faces.items()})
        for identity, face in faces.items():
            face.identity, face.measured = identity, _on_grid(face.pos).float()
            face.pos = self._identities.tracks[identity].pos.float()
            face.bbox = points_to_box(face.pos)
        return list(faces.values())

    def replay(self, time: float, measured: Mapping[int, Tensor]) -> None:
        """Advance by a frame whose faces are known from an earlier run, without looking at it.

        Args:
            time: as it was.
            measured: identity -> ``measured`` [L, 2] of each face.

        Raises:
            ValueError: if the time is not later than the one before.
        """
        self._check_time(time)
        self._time, self._frames = time, self._frames + 1
        landmarks = {identity: _on_grid(pos) for identity, pos in measured.items()}
        turns = {identity: tilt(pos, self._upright) for identity, pos in landmarks.items()}
        self._identities.update(time, landmarks, turns)

    def _check_time(self, time: float) -> None:
        if not (math.isfinite(time) and time > self._time):
            raise ValueError(f"time must be seconds, later than the {self._time} s of the frame before, got {time}")

    def _follow(self, frame: NDArray[np.generic] | Tensor, time: float) -> list[_Sighting]:
        """The faces of the frame before, where they are expected; each face once."""
        tracks = [track for track in self._identities.followed if _inside(track.expected(time), frame)]
        if not tracks:
            return []
        boxes = torch.stack([track.expected(time) for track in tracks])
        turns = torch.tensor([track.turn for track in tracks])
        faces = self.aligner(frame, FaceBoxes(boxes, torch.full_like(turns, torch.nan), turns))
        fitting: list[tuple[float, _Sighting]] = []
        for track, face, expected in zip(tracks, faces, boxes, strict=True):
            box = self._box(face)
            if _inside(box, frame) and box_distance(box[None], expected[None]).item() <= _JUMP:
                fit = box_distance(box[None], track.free.at(time)[None]).item()
                fitting.append((fit, _Sighting(face, box, track)))
        seen: list[_Sighting] = []
        for _, sighting in sorted(fitting, key=lambda pair: pair[0]):
            if not _already(sighting.box, seen):
                seen.append(sighting)
        return seen

    def _detect(self, frame: NDArray[np.generic] | Tensor, seen: list[_Sighting]) -> list[_Sighting]:
        """Match the detector's faces with those that were followed, and add the new ones."""
        image = as_photo(frame).to(self.aligner.device)
        detector = self.aligner.detector
        found = find_at_any_angle(detector, image) if self.settings["any_angle"] else as_boxes(detector(image), image)
        pairs = dict(assign(1 - box_overlap(_boxes(seen), found.box.double()), limit=1 - _FOUND))
        for number, sighting in enumerate(seen):
            if sighting.track is not None:
                sighting.track.missed = 0 if number in pairs else sighting.track.missed + 1
            if number in pairs and not found.score[pairs[number]].isnan():
                sighting.face.score = found.score[pairs[number]]
        seen = [each for each in seen if each.track is None or each.track.missed < _PATIENCE]
        new = [number for number in range(len(found.box)) if number not in pairs.values()]
        for face in self.aligner(frame, FaceBoxes(*(part[new] for part in found))) if new else ():
            box = self._box(face)
            if _inside(box, frame) and not _already(box, seen):
                seen.append(_Sighting(face, box, None))
        return seen

    def _box(self, face: FaceData) -> Tensor:
        pos = face.pos.double()
        return box_along(pos, tilt(pos, self._upright))


def _on_grid(pos: Tensor) -> Tensor:
    return (_GRID * pos.double()).round() / _GRID


def _boxes(seen: Sequence[_Sighting]) -> Tensor:
    return torch.stack([each.box for each in seen]) if seen else torch.zeros(0, 4, dtype=torch.float64)


def _already(box: Tensor, seen: Sequence[_Sighting]) -> bool:
    """Whether one of the faces is at this place."""
    return bool((box_overlap(box[None], _boxes(seen)) > _SAME).any())


def _inside(box: Tensor, frame: NDArray[np.generic] | Tensor) -> bool:
    """Whether the centre of a box lies in the frame."""
    height, width = frame.shape[1:] if isinstance(frame, Tensor) else frame.shape[:2]
    x, y = (box[:2] + box[2:] / 2).tolist()
    return 0 <= x < width and 0 <= y < height
