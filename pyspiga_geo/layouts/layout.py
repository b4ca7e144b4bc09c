"""A landmark set: ids, mirror order, contours, a rigid 3-D shape, and the length its errors are divided by."""

import json
import os
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.layouts.annotations import AnnotatedFace, annotated_points
from pyspiga_geo.layouts.estimation import FlatError, rigid_shape
from pyspiga_geo.layouts.mean_shape import align_faces, check_mirror_order, fit_box

ROBUST_IDS = range(1, 25)
"""Ids of the points that every face layout shares and that move little with expression; head pose is fitted to them."""

EYE_CORNER_IDS = (7, 12)
"""Ids of the outer eye corners (right, left). Their distance is the normaliser ``"inter_ocular"``."""

Normaliser = str | tuple[int, int]
"""A length of the face that errors are divided by: its name, or the ids of two landmarks, meaning their distance."""


def default_normaliser(ids: Sequence[int]) -> Normaliser:
    """``"inter_ocular"`` if both outer eye corners are among the landmarks, else ``"lnd_bbox"``.

    Args:
        ids: of the landmarks.

    Returns:
        The name of a normaliser (:func:`pyspiga_geo.evaluation.normaliser`).

    Example:
        >>> default_normaliser((7, 12, 301)), default_normaliser((201, 202, 203))
        ('inter_ocular', 'lnd_bbox')
    """
    return "inter_ocular" if set(EYE_CORNER_IDS) <= set(ids) else "lnd_bbox"


def current_name(normaliser: Normaliser) -> Normaliser:
    """The name of a normaliser as it is now: the old name of ``"inter_ocular"``, ``"corners"``, remains valid."""
    return "inter_ocular" if normaliser == "corners" else normaliser


def from_mean_face_axes(points: ArrayLike) -> NDArray[np.float64]:
    """Convert points from the axes of the authors' mean-face files to the world axes of the pose.

    Args:
        points: [L, 3], columns x (to the left cheek), y (up) and z (out of the face).

    Returns:
        [L, 3], (X, Y, Z) = (z, -x, -y), the world frame of :mod:`pyspiga_geo.geometry.rotation`.

    Example:
        >>> from_mean_face_axes([[1, 2, 3]]).tolist()
        [[3.0, -1.0, -2.0]]
    """
    x, y, z = np.asarray(points, dtype=np.float64).T
    return np.stack([z, -x, -y], axis=1)


@dataclass(frozen=True, eq=False)
class Layout:
    """A set of L landmarks: ids in order, mirror order, contours, and the shape in 3-D.

    Only the name and the ids are required. Two layouts are equal if all their parts are.

    Args:
        name: the name by which :func:`get_layout` and checkpoints refer to it.
        ids: one unique number per landmark, in the order of the rows of every ``pos`` [L, 2].
        flip: mirror order: row i of a mirrored face is row ``flip[i]`` of the face (an involution). None if it is not
            known, or if a mirrored object is not one of the kind: training then never mirrors pictures.
        contours: name -> row numbers of the polyline through its landmarks, in drawing order. Without contours, models
            have no boundary heatmaps and pictures show points only.
        shape3d: rigid shape [L, 3] in the world frame of :mod:`pyspiga_geo.geometry.rotation`, in arbitrary units; or
            None: such a layout can be used by a cascade, but not for initialisation from the head pose.
        normaliser: what errors are divided by (:attr:`norm`): ``"inter_ocular"``, the distance of the outer eye
            corners, ids 7 and 12; ``"lnd_bbox"``, sqrt(w h) of the tight box of the landmarks; or two ids, meaning the
            distance between those landmarks. None: ``"inter_ocular"`` for a layout that has them, else ``"lnd_bbox"``.
        mean_shape: mean of the upright faces [L, 2], x to the right of the picture and y down, with its tight box
            centred on 0 and a longer side of 1; or None.

    Raises:
        ValueError: if the parts do not fit each other; the message names the part.

    Example:
        >>> layout = Layout("triangle", ids=(201, 202, 203), flip=(1, 0, 2), normaliser=(201, 202))
        >>> len(layout), layout.norm
        (3, (201, 202))
    """

    name: str
    ids: Sequence[int]
    flip: Sequence[int] | None = None
    contours: Mapping[str, Sequence[int]] = field(default_factory=dict)
    shape3d: NDArray[np.float64] | None = None
    normaliser: Normaliser | None = None
    mean_shape: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Freeze the parts and check that they fit each other."""
        if not isinstance(self.name, str):
            raise ValueError(f"the name of a layout must be text, got {self.name!r}")
        self._set("ids", self._whole("ids", self.ids))
        if not self.ids or len(set(self.ids)) != len(self.ids):
            raise ValueError(f"layout {self.name!r}: ids must be at least one and all different")
        rows = range(len(self))
        if self.flip is not None:
            self._set("flip", flip := self._whole("flip", self.flip))
            if sorted(flip) != list(rows) or any(flip[flip[i]] != i for i in rows):
                raise ValueError(
                    f"layout {self.name!r}: flip must be a permutation of the {len(self)} rows that undoes itself"
                )
        if not isinstance(self.contours, Mapping):
            raise ValueError(f"layout {self.name!r}: contours must be names and rows, got {self.contours!r}")
        self._set("contours", {name: self._whole("contours", rows) for name, rows in self.contours.items()})
        for contour, members in self.contours.items():
            if len(members) < 2 or any(i not in rows for i in members):
                raise ValueError(
                    f"layout {self.name!r}: contour {contour!r} needs two or more rows of 0..{len(self) - 1}"
                )
        for part, axes in (("shape3d", 3), ("mean_shape", 2)):
            if getattr(self, part) is not None:
                points = np.array(getattr(self, part), dtype=np.float64)
                if points.shape != (len(self), axes) or not np.isfinite(points).all():
                    raise ValueError(f"layout {self.name!r}: {part} must be finite, of shape [{len(self)}, {axes}]")
                points.flags.writeable = False
                self._set(part, points)
        if self.normaliser is not None and not isinstance(self.normaliser, str):
            self._set("normaliser", self._whole("normaliser", self.normaliser))
        self._check_normaliser()

    @classmethod
    def from_annotations(
        cls,
        name: str,
        points: ArrayLike | Sequence[AnnotatedFace],
        *,
        ids: Sequence[int] | None = None,
        flip: Sequence[int] | None = None,
        contours: Mapping[str, Sequence[int]] | None = None,
        normaliser: Normaliser | None = None,
        front: int | None = None,
    ) -> Self:
        """Estimate the mean shape and the rigid shape from annotated 2-D points alone.

        The mean shape comes from a generalised Procrustes analysis. The rigid shape is the one whose scaled
        orthographic views fit the faces best (:func:`~pyspiga_geo.layouts.estimation.rigid_shape`), in the world
        axes of :mod:`pyspiga_geo.geometry.rotation`, so that the mean face looks straight into the camera. Such
        views do not tell front from back: unless ``front`` says so, the middle of the object is assumed to lie in
        front of its rim, as on a head.

        Args:
            name: the name by which :func:`get_layout` and checkpoints refer to it.
            points: [F, L, 2], pixels of any picture, NaN where not annotated; or annotation records.
            ids: of the L landmarks. Default: all of the records, in the order in which they come, or 201, 202, ...
                for an array.
            flip: mirror order, which is checked; None if there is none.
            contours: as in :class:`Layout`.
            normaliser: as in :class:`Layout`.
            front: id of a landmark that is nearer to the viewer than the centroid.

        Returns:
            The layout. If the points do not determine their depth (all in one plane, always seen from the same side,
            fewer than four landmarks or three faces), a warning says so and ``shape3d`` is None.

        Raises:
            ValueError: if points have the wrong shape, no face has some landmark, the parts do not fit each other, or
                the mirror order does not map the shape to itself; the message names the landmarks.

        Example:
            >>> turned = np.linspace(-0.5, 0.5, 9)[:, None]
            >>> x, y, z = np.array([[-2, 2, 0, -1, 1], [-1, -1, 0, 2, 2], [0, 0, 2, 1, 1]])
            >>> faces = np.stack([x * np.cos(turned) + z * np.sin(turned), y + 0 * turned], axis=-1)
            >>> layout = Layout.from_annotations("mask", faces, flip=(1, 0, 2, 4, 3))
            >>> (layout.shape3d / layout.shape3d[0, 1]).round(6).tolist()  # X out of the face, Y to its right, Z down
            [[-0.4, 1.0, -0.7], [-0.4, -1.0, -0.7], [0.6, 0.0, -0.2], [0.1, 0.5, 0.8], [0.1, -0.5, 0.8]]
        """
        ids, annotated = annotated_points(points, ids)
        layout = cls(name, ids, flip, contours or {}, normaliser=normaliser)
        if front is not None and front not in layout.ids:
            raise ValueError(f"front must be one of the layout's ids, not {front}")
        mean, aligned, turns = align_faces(annotated, layout.ids)
        shape3d = None
        try:
            shape3d = rigid_shape(aligned, turns, flip, None if front is None else layout.ids.index(front))
        except FlatError as error:
            warnings.warn(f"layout {name!r} gets no rigid 3-D shape: {error}", stacklevel=2)
        if flip is not None:
            check_mirror_order(mean if shape3d is None else shape3d, layout.ids, flip)
        return cls(name, ids, flip, layout.contours, shape3d, normaliser, fit_box(mean))

    def __len__(self) -> int:
        """Number of landmarks L."""
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        """Whether all parts are the same."""
        return self._content() == other._content() if isinstance(other, Layout) else NotImplemented

    def __hash__(self) -> int:
        """That of the parts."""
        return hash(self._content())

    @property
    def norm(self) -> Normaliser:
        """What errors are divided by: ``normaliser``, or :func:`default_normaliser` if that is None."""
        return default_normaliser(self.ids) if self.normaliser is None else current_name(self.normaliser)

    @property
    def boundary_matrix(self) -> NDArray[np.float64]:
        """Membership [L, B + 1] of landmarks in the B contours; the last column marks landmarks of no contour."""
        matrix = np.zeros((len(self), len(self.contours) + 1))
        for column, members in enumerate(self.contours.values()):
            matrix[list(members), column] = 1.0
        matrix[:, -1] = matrix[:, :-1].sum(axis=1) == 0
        return matrix

    @property
    def robust_rows(self) -> list[int]:
        """Rows of the landmarks with the shared ids 1..24, to which head pose is fitted.

        A layout with fewer than four of them (one that is not a face) uses all of its landmarks.
        """
        rows = [row for row, number in enumerate(self.ids) if number in ROBUST_IDS]
        return rows if len(rows) >= 4 else list(range(len(self)))

    @property
    def pose_rows(self) -> list[int]:
        """``robust_rows`` if they determine a pose; empty without a rigid shape, or if it is flat or has three points.

        >>> Layout("flat", ids=(1, 2, 3, 4, 5), shape3d=np.eye(5, 2) @ np.eye(2, 3)).pose_rows
        []
        """
        rows = self.robust_rows
        if self.shape3d is None or len(rows) < 4:
            return []
        extents = np.linalg.svd(self.shape3d[rows] - self.shape3d[rows].mean(axis=0), compute_uv=False)
        return rows if extents[2] > _FLAT * extents[0] else []

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain lists and numbers, for JSON; without ``normaliser`` and ``mean_shape`` where None."""
        parts: dict[str, Any] = {
            "name": self.name,
            "ids": list(self.ids),
            "flip": None if self.flip is None else list(self.flip),
            "contours": {contour: list(members) for contour, members in self.contours.items()},
            "shape3d": None if self.shape3d is None else self.shape3d.tolist(),
        }
        if self.norm != default_normaliser(self.ids):
            parts["normaliser"] = self.norm if isinstance(self.norm, str) else list(self.norm)
        if self.mean_shape is not None:
            parts["mean_shape"] = self.mean_shape.tolist()
        return parts

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the layout as a JSON file, which :func:`~pyspiga_geo.layouts.read_layout` reads.

        Args:
            path: of the file; missing folders are made.
        """
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict()), encoding="utf-8")

    def _set(self, part: str, value: object) -> None:
        object.__setattr__(self, part, value)

    def _whole(self, part: str, values: Any) -> tuple[int, ...]:
        try:
            numbers = tuple(int(i) for i in values)
            if numbers != tuple(values):
                raise ValueError
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"layout {self.name!r}: {part} must be whole numbers") from error
        return numbers

    def _content(self) -> Hashable:
        arrays = (None if a is None else tuple(a.ravel().tolist()) for a in (self.shape3d, self.mean_shape))
        return (self.name, self.ids, self.flip, tuple(self.contours.items()), self.norm, *arrays)

    def _check_normaliser(self) -> None:
        norm = self.norm
        wanted = EYE_CORNER_IDS if norm == "inter_ocular" else norm
        if isinstance(wanted, str):
            fits = wanted == "lnd_bbox"
        else:
            fits = len(set(wanted)) == len(wanted) == 2 and set(wanted) <= set(self.ids)
        if not fits:
            raise ValueError(
                f"layout {self.name!r}: normaliser must be 'inter_ocular' (with ids 7 and 12), 'lnd_bbox' or two of "
                f"the layout's ids, not {norm!r}"
            )


_FLAT = 1e-6  # thickness over length of a rigid shape that counts as flat
