"""Annotated landmarks of many faces as one array."""

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

FIRST_ID = 201
"""First id given to landmarks that have none: above those of the built-in layouts."""


class AnnotatedFace(Protocol):
    """A face with the ids of its landmarks and their positions [L, 2], such as a :class:`~pyspiga_geo.data.FaceRecord`.

    A protocol: any object with these two attributes is one.

    Example:
        >>> from types import SimpleNamespace
        >>> views = [SimpleNamespace(ids=(1, 2, 3), landmarks=np.array([[0.0, 0], [4, 0], [x, 3]])) for x in (1, 3)]
        >>> from pyspiga_geo.layouts import Layout
        >>> import warnings
        >>> with warnings.catch_warnings(action="ignore"):  # two views do not determine the depth
        ...     Layout.from_annotations("triangle", views).mean_shape.shape
        (3, 2)
    """

    @property
    def ids(self) -> Sequence[int]:
        """The id of each row of ``landmarks``."""

    @property
    def landmarks(self) -> NDArray[np.float64]:
        """Positions [L, 2]; NaN where not annotated."""


def annotated_points(
    points: ArrayLike | Sequence[AnnotatedFace], ids: Sequence[int] | None = None
) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Ids of the L landmarks, and the points of F faces as one array.

    Args:
        points: [F, L, 2], or records.
        ids: the landmarks wanted. Default: all those of the records, in the order in which they come, or 201, 202, ...

    Returns:
        The ids, and points [F, L, 2] in float64, NaN in both coordinates where a landmark is missing.

    Raises:
        ValueError: if points have another shape or are infinite, or ids do not fit them.

    Example:
        >>> annotated_points([[[0, 0], [1, np.nan]]])
        ((201, 202), array([[[ 0.,  0.], [nan, nan]]]))
    """
    if isinstance(points, Sequence) and len(points) and hasattr(points[0], "landmarks"):
        records = cast(Sequence[AnnotatedFace], points)
        ids = tuple(ids or dict.fromkeys(i for record in records for i in record.ids))
        found = np.full((len(records), len(ids), 2), np.nan)
        for face, record in zip(found, records, strict=True):
            row = {landmark: position for landmark, position in zip(record.ids, record.landmarks, strict=True)}
            for index, landmark in enumerate(ids):
                face[index] = row.get(landmark, np.nan)
    else:
        found = np.array(points, dtype=np.float64)
        if found.ndim != 3 or found.shape[0] < 1 or found.shape[1] < 2 or found.shape[2] != 2:
            raise ValueError(f"points must be [F, L, 2] of two landmarks or more, not {list(found.shape)}")
        ids = tuple(range(FIRST_ID, FIRST_ID + found.shape[1])) if ids is None else tuple(ids)
        if len(ids) != found.shape[1]:
            raise ValueError(f"ids must be {found.shape[1]}, one for each landmark of points, not {len(ids)}")
    if np.isinf(found).any():
        raise ValueError("points must be finite, or NaN where not annotated")
    found[np.isnan(found).any(axis=2)] = np.nan
    return ids, found
