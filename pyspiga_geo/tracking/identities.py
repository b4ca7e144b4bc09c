"""Identities of all the faces that a tracker knows."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pyspiga_geo.tracking.matching import assign, box_distance, box_overlap
from pyspiga_geo.tracking.smoother import FaceSmoother
from pyspiga_geo.tracking.tracks import Track

_HEAD = 1.4
"""Size of a head in units of the box of its landmarks: heads that overlap may hide each other."""

_REACH = 1.5
"""Largest distance from its expected position at which a lost face is recognised again, see :func:`box_distance`."""

_MEMORY = 1.5
"""Seconds after which a lost face is forgotten; if it comes back it is a new one."""


class Identities:
    """The faces that are being followed, and those lost a moment ago.

    Args:
        make_smoother: makes the smoother of each new face, or None.
    """

    def __init__(self, make_smoother: Callable[[], FaceSmoother | None]) -> None:
        self.tracks: dict[int, Track] = {}
        self._make_smoother = make_smoother
        self._newest = 0

    @property
    def followed(self) -> list[Track]:
        """Those that were seen in the previous frame."""
        return [track for track in self.tracks.values() if not track.lost]

    def identify(self, boxes: Tensor, owners: Sequence[Track | None], time: float) -> list[int]:
        """Determine the identity of each face of a frame.

        Faces that were followed keep their identity. A face that the detector found is one of the lost, if it is near
        enough to where that one should be, or was. Then the face that hid the lost one is reconsidered too: the motion
        of both before they met decides which of the two is which.

        Args:
            boxes: of the faces, [N, 4].
            owners: the track that was followed to each face, None for those that the detector found.
            time: of the frame, seconds.

        Returns:
            N identities; unknown faces get new ones.
        """
        owners = list(owners)
        found = [number for number, owner in enumerate(owners) if owner is None]
        questioned = self._questioned(owners)
        if found and questioned:
            cost = box_distance(torch.stack([track.free.at(time) for track in questioned]), boxes)
            stayed = box_distance(torch.stack([track.now.box for track in questioned]), boxes) <= _REACH
            cost = torch.where(stayed, cost.clamp(max=_REACH), cost)  # it may have stopped while nobody saw it
            eligible = [number in found and bool(cost[:, number].min() <= _REACH) for number in range(len(boxes))]
            if any(eligible):
                for number, owner in enumerate(owners):
                    if owner in questioned:
                        row, owners[number], eligible[number] = questioned.index(owner), None, True
                        cost[row, number] = cost[row, number].clamp(max=_REACH)
                cost[:, ~torch.tensor(eligible)] = torch.inf
                for row, number in assign(cost, _REACH):
                    owners[number] = questioned[row]
        unknown = iter(range(self._newest + 1, self._newest + 1 + len(owners)))
        return [next(unknown) if owner is None else owner.identity for owner in owners]

    def update(self, time: float, landmarks: Mapping[int, Tensor], turns: Mapping[int, float]) -> None:
        """Add the faces of a frame.

        Args:
            time: of the frame, seconds.
            landmarks: identity -> [L, 2] in pixels, float64.
            turns: identity -> degrees by which the face is rotated clockwise.
        """
        for identity, pos in landmarks.items():
            if identity in self.tracks:
                self.tracks[identity].update(pos, turns[identity], time)
            else:
                self.tracks[identity] = Track(identity, pos, turns[identity], time, self._make_smoother())
                self._newest = max(self._newest, identity)
        seen = [self.tracks[identity] for identity in landmarks]
        for track in list(self.tracks.values()):
            if track not in seen:
                track.lose(self._hider(track, seen, time))
            if time - track.now.time > _MEMORY:
                del self.tracks[track.identity]
        self._note_the_free(time)

    def _questioned(self, owners: Sequence[Track | None]) -> list[Track]:
        """Tracks that are not among the owners, and those of the owners that hid them."""
        missing = [track for track in self.tracks.values() if track not in owners]
        hiders = {track.rival for track in missing}
        return missing + [track for track in owners if track is not None and track.identity in hiders]

    def _hider(self, track: Track, seen: Sequence[Track], time: float) -> int | None:
        """The identity of the seen face that is where this one should be."""
        if track.lost or not seen:
            return track.rival
        near = box_overlap(_head(track.expected(time)[None]), _head(torch.stack([other.now.box for other in seen])))[0]
        return seen[int(near.argmax())].identity if near.max() > 0 else None

    def _note_the_free(self, time: float) -> None:
        """Store the motion of faces that no other is near, and that hide none."""
        tracks = list(self.tracks.values())
        if not tracks:
            return
        heads = _head(torch.stack([track.expected(time) for track in tracks]))
        near = (box_overlap(heads, heads).fill_diagonal_(0) > 0).any(dim=1).tolist()
        hiding = {track.rival for track in tracks if track.lost}
        for track, crowded in zip(tracks, near, strict=True):
            apart = not crowded and track.identity not in hiding
            if not track.lost and (apart or time - track.free.time > _MEMORY):
                track.free = track.now


def _head(boxes: Tensor) -> Tensor:
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return torch.cat([centre - _HEAD * boxes[:, 2:] / 2, _HEAD * boxes[:, 2:]], dim=1)
