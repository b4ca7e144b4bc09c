"""What a landmark set is: ids, mirror order, contours and a rigid 3-D shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROBUST_IDS = range(1, 25)
"""Ids of the points that every face layout shares and that move little with expression."""

EYE_CORNER_IDS = (7, 12)
"""Ids of the outer eye corners (right, left), whose distance normalises the error."""


def from_mean_face_axes(points: ArrayLike) -> NDArray[np.float64]:
    """Turn mean-face columns (x, y, z) [L, 3] into the world axes of the pose: (X, Y, Z) = (z, -x, -y)."""
    x, y, z = np.asarray(points, dtype=np.float64).T
    return np.stack([z, -x, -y], axis=1)


@dataclass(frozen=True, eq=False)
class Layout:
    """A set of L landmarks: their order, their names as numbers, how they are drawn and where they lie in 3-D.

    Args:
        name: how :func:`get_layout` and checkpoints call it.
        ids: one unique number a landmark, in the order of the rows of every ``pos`` [L, 2].
        flip: mirror order: row i of a mirrored face is row ``flip[i]`` of the face (an involution).
        contours: name -> row numbers of the polyline through its landmarks, in drawing order.
        shape3d: rigid shape [L, 3] in the world frame of :mod:`pyspiga_geo.geometry.rotation`, in
            arbitrary units, or None: such a layout serves a cascade, not the pose initialisation.

    Raises:
        ValueError: when the parts do not fit each other; the message names the part.
    """

    name: str
    ids: Sequence[int]
    flip: Sequence[int]
    contours: Mapping[str, Sequence[int]]
    shape3d: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Freeze the parts and check that they fit each other."""
        object.__setattr__(self, "ids", tuple(int(i) for i in self.ids))
        object.__setattr__(self, "flip", tuple(int(i) for i in self.flip))
        object.__setattr__(self, "contours", {k: tuple(int(i) for i in v) for k, v in self.contours.items()})
        rows = range(len(self))
        if not self.ids or len(set(self.ids)) != len(self.ids):
            raise ValueError(f"layout {self.name!r}: ids must be at least one and all different")
        if sorted(self.flip) != list(rows) or any(self.flip[self.flip[i]] != i for i in rows):
            raise ValueError(
                f"layout {self.name!r}: flip must be a permutation of the {len(self)} rows that undoes itself"
            )
        for contour, members in self.contours.items():
            if len(members) < 2 or any(i not in rows for i in members):
                raise ValueError(
                    f"layout {self.name!r}: contour {contour!r} needs two or more rows of 0..{len(self) - 1}"
                )
        if self.shape3d is not None:
            shape3d = np.array(self.shape3d, dtype=np.float64)
            if shape3d.shape != (len(self), 3) or not np.isfinite(shape3d).all():
                raise ValueError(f"layout {self.name!r}: shape3d must be finite, of shape [{len(self)}, 3]")
            shape3d.flags.writeable = False
            object.__setattr__(self, "shape3d", shape3d)

    def __len__(self) -> int:
        """Number of landmarks L."""
        return len(self.ids)

    @property
    def boundary_matrix(self) -> NDArray[np.float64]:
        """Membership [L, B + 1] of landmarks in contours; the last column marks those of no contour."""
        matrix = np.zeros((len(self), len(self.contours) + 1))
        for column, members in enumerate(self.contours.values()):
            matrix[list(members), column] = 1.0
        matrix[:, -1] = matrix[:, :-1].sum(axis=1) == 0
        return matrix

    @property
    def robust_rows(self) -> list[int]:
        """Rows of the landmarks with the shared ids 1..24, the ones head pose is computed from.

        A layout with fewer than four of them (not a face) uses all of its landmarks.
        """
        rows = [row for row, number in enumerate(self.ids) if number in ROBUST_IDS]
        return rows if len(rows) >= 4 else list(range(len(self)))

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain lists and numbers, for JSON."""
        return {
            "name": self.name,
            "ids": list(self.ids),
            "flip": list(self.flip),
            "contours": {contour: list(members) for contour, members in self.contours.items()},
            "shape3d": None if self.shape3d is None else self.shape3d.tolist(),
        }
