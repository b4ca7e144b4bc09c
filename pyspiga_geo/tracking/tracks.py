"""The state of one tracked face."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyspiga_geo.geometry import points_to_box
from pyspiga_geo.inference.detector import UPRIGHT, turned
from pyspiga_geo.layouts import Layout
from pyspiga_geo.tracking.matching import box_distance
from pyspiga_geo.tracking.smoother import FaceSmoother

_INERTIA = 0.1
"""Time constant in seconds over which the velocity of a face is averaged."""

_HORIZON = 1.0
"""Seconds for which a face that is not seen is assumed to keep moving."""

_JUMP = 0.5
"""Distance between two boxes, in face sizes, beyond which nothing is smoothed."""


def upright_rows(layout: Layout) -> Tensor | None:
    """The landmarks [L, 2] of an upright face, in any unit, or None if the layout has no shape."""
    if layout.mean_shape is not None:
        return torch.tensor(layout.mean_shape)
    if layout.shape3d is not None:
        return torch.tensor(layout.shape3d[:, 1:] * (-1, 1))
    return None


def tilt(pos: Tensor, upright: Tensor | None) -> float:
    """Degrees by which landmarks [L, 2] are rotated clockwise; 0 up to 30 degrees, which models see in training."""
    if upright is None:
        return 0.0
    x, y = (pos - pos.mean(dim=0)).to(upright).unbind(-1)
    right, down = (upright - upright.mean(dim=0)).unbind(-1)
    angle = math.degrees(math.atan2((right * y - down * x).sum(), (right * x + down * y).sum()))
    return angle if abs(angle) > UPRIGHT else 0.0


def box_along(pos: Tensor, degrees: float) -> Tensor:
    """Tight box x, y, w, h [4] of landmarks [L, 2] along axes that are rotated clockwise, about its centre."""
    angle = pos.new_tensor([degrees])
    box = points_to_box(turned(pos, -angle))
    centre = turned((box[:2] + box[2:] / 2)[None], angle)[0]
    return torch.cat([centre - box[2:] / 2, box[2:]])


@dataclass(frozen=True)
class Motion:
    """Position and velocity of a face at one time."""

    time: float
    box: Tensor
    """x, y, w, h [4] in pixels."""
    velocity: Tensor
    """Of the centre [2], pixels per second."""

    def at(self, time: float) -> Tensor:
        """The expected box [4] at another time, moved with constant velocity for a second at most."""
        shift = self.velocity * min(time - self.time, _HORIZON)
        return torch.cat([self.box[:2] + shift, self.box[2:]])

    def then(self, time: float, box: Tensor) -> "Motion":
        """The motion after the face has been seen again."""
        step = time - self.time
        moved = (box[:2] + box[2:] / 2 - self.box[:2] - self.box[2:] / 2) / step
        weight = 1 - math.exp(-step / _INERTIA)
        return Motion(time, box, torch.lerp(self.velocity, moved, weight))


class Track:
    """A face that is being followed, or was until a moment ago.

    Args:
        identity: its number.
        pos: its landmarks [L, 2] in pixels, float64.
        turn: degrees by which it is rotated clockwise.
        time: when it was seen.
        smoothing: the smoother of its landmarks, or None.
    """

    def __init__(self, identity: int, pos: Tensor, turn: float, time: float, smoothing: FaceSmoother | None) -> None:
        self.identity, self.smoothing = identity, smoothing
        box = box_along(pos, turn)
        self.turn = turn
        self.now = self.free = Motion(time, box, torch.zeros_like(box[:2]))
        """The motion when it was seen last, and when it was last seen apart from all other faces."""
        self.lost = False
        self.rival: int | None = None
        """The identity of the face that was where this one was lost."""
        self.missed = 0
        """Runs of the detector in a row that did not find it."""
        self.pos = self._smooth(pos, time)

    def expected(self, time: float) -> Tensor:
        """The box [4] where it should be now: for a lost face by its motion before others came near."""
        return (self.free if self.lost else self.now).at(time)

    def update(self, pos: Tensor, turn: float, time: float) -> None:
        """Add the landmarks [L, 2] found now; ``pos`` then holds them smoothed."""
        box = box_along(pos, turn)
        jumped = self.lost or box_distance(box[None], self.now.at(time)[None]).item() > _JUMP
        if jumped and self.smoothing is not None:
            self.smoothing.reset()
        # Where it jumped, it was not it that was seen: how it moved before is all that is known.
        self.now = replace(self.free, time=time, box=box) if jumped else self.now.then(time, box)
        self.turn, self.lost, self.rival = turn, False, None
        self.pos = self._smooth(pos, time)

    def lose(self, rival: int | None) -> None:
        """Mark it as not seen now; ``rival`` is the identity of the face that is in its place."""
        self.lost, self.rival, self.missed = True, rival, 0

    def _smooth(self, pos: Tensor, time: float) -> Tensor:
        if self.smoothing is None:
            return pos
        return self.smoothing(pos, time)
