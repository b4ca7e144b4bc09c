"""The mean shape of annotated faces, and a check that a mirror order maps it to itself."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_FAR = 0.1  # of the shape's size: no landmark of a symmetric object lies so far from its mirrored partner
_NEAR, _TIMES = 0.03, 3  # nor so far where another landmark is three times nearer


def align_faces(
    points: FloatArray, ids: Sequence[int], max_rounds: int = 200
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Generalised Procrustes analysis: the mean shape, and the faces rotated, scaled and shifted onto it.

    Args:
        points: [F, L, 2], NaN in both coordinates where not annotated.
        ids: names of the landmarks in messages.
        max_rounds: upper bound on the iterations.

    Returns:
        The mean [L, 2], in the mean orientation of the faces, with its centroid at 0 and a root mean square distance
        of 1 from it; the aligned faces [F', L, 2], without those that have fewer than two different points; and the
        angles [F'] by which they were rotated, in radians from x to y.

    Raises:
        ValueError: if no face has some landmark.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> mean, aligned, turns = align_faces(np.stack([square, 3 * square + 5, square]), ids=range(4))
        >>> mean.round(3).tolist()
        [[-0.707, -0.707], [0.707, -0.707], [0.707, 0.707], [-0.707, 0.707]]
    """
    known = np.isfinite(points[..., 0])
    # As complex numbers: a similarity is a product and a sum.
    faces = _centred(np.where(known, points[..., 0] + 1j * points[..., 1], 0), known)
    extent = np.abs(faces).max(axis=1)
    faces, known = faces[extent > 0], known[extent > 0]
    if missing := [str(number) for number, seen in zip(ids, known.any(axis=0), strict=True) if not seen]:
        raise ValueError(f"points: no face has landmark {', '.join(missing)}, or only such as have no other")
    # The landmarks that the first mean lacks come in as faces that share some with it are moved onto it.
    fullest = known.sum(axis=1).argmax()
    mean, counted = faces[fullest], known[fullest].copy()
    for _ in range(max_rounds):
        common = known & counted
        scale, shift = _onto(faces, mean, common)
        usable = common.sum(axis=1) > 1
        aligned = scale[:, None] * faces + shift[:, None]
        weight = known & usable[:, None]
        counted = weight.any(axis=0)
        new = (weight * aligned).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
        new = np.where(counted, new - new[counted].mean(), 0)
        new /= np.sqrt((np.abs(new[counted]) ** 2).mean())
        if counted.all() and np.abs(new - mean).max() < 1e-12:
            break
        mean = new
    if not counted.all():
        apart = [str(number) for number, seen in zip(ids, counted, strict=True) if not seen]
        raise ValueError(f"points: no face shows landmark {', '.join(apart)} together with two of the others")
    scale, shift = _onto(faces, mean, known)
    upright = np.exp(-1j * np.angle(np.exp(1j * np.angle(scale)).sum()))  # as the faces are in the mean
    aligned = upright * np.where(known, scale[:, None] * faces + shift[:, None], np.nan)
    mean = upright * mean
    mean, aligned = (np.stack([z.real, z.imag], axis=-1) for z in (mean, aligned))
    return mean, aligned, np.angle(upright * scale)


def fit_box(shape: FloatArray) -> FloatArray:
    """Shift and scale a shape so that its bounding box is centred on 0 and its longest side is 1.

    Args:
        shape: [L, D].

    Returns:
        [L, D].

    Example:
        >>> fit_box(np.array([[0.0, 0], [4, 2]])).tolist()
        [[-0.5, -0.25], [0.5, 0.25]]
    """
    low, high = shape.min(axis=0), shape.max(axis=0)
    return (shape - (low + high) / 2) / (high - low).max()


def check_mirror_order(shape: FloatArray, ids: Sequence[int], flip: Sequence[int]) -> None:
    """Check that the mirrored shape, with its landmarks exchanged, fits the shape.

    Args:
        shape: [L, 2] or [L, 3].
        ids: names of the landmarks in messages.
        flip: mirror order.

    Raises:
        ValueError: if some landmarks lie far from their mirrored partner (a tenth of the shape's longest side, or 3 %
            of it if another landmark is three times nearer); the message names them.

    Example:
        >>> check_mirror_order(np.array([[-1.0, 0], [1, 0], [0, 2], [0, -1]]), ids=(7, 12, 24, 18), flip=(0, 1, 2, 3))
        Traceback (most recent call last):
        ValueError: flip does not take the shape to itself: mirrored, landmark 7 comes nearest to 12, not to ...
    """
    points = fit_box(shape - shape.mean(axis=0))
    mirrored = points[list(flip)] * np.array([-1.0, *[1.0] * (shape.shape[1] - 1)])
    points, mirrored = points - points.mean(axis=0), mirrored - mirrored.mean(axis=0)
    left, _, right = np.linalg.svd(mirrored.T @ points)
    turn = np.ones(len(left))
    turn[-1] = np.linalg.det(left @ right)  # a rotation: the mirror is made already
    distance = np.linalg.norm((mirrored @ (left * turn) @ right)[:, None] - points, axis=2)
    own, nearest = distance.diagonal(), distance.argmin(axis=1)
    wrong = (own > _FAR) | ((own > _NEAR) & (own > _TIMES * distance.min(axis=1)))
    if wrong.any():
        found = [
            f"landmark {ids[flip[row]]} comes nearest to {ids[nearest[row]]}, not to its partner {ids[row]}"
            if nearest[row] != row
            else f"landmark {ids[flip[row]]} stays {own[row]:.0%} of the size away from {ids[row]}"
            for row in np.flatnonzero(wrong).tolist()
        ]
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise ValueError(
            f"flip does not take the shape to itself: mirrored, {', '.join(found[:5])}{more}. Where the object is "
            "not symmetric, leave flip out"
        )


def _centred(faces: NDArray[np.complex128], known: NDArray[np.bool_]) -> NDArray[np.complex128]:
    centre = faces.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, faces - centre[:, None], 0)


def _onto(
    faces: NDArray[np.complex128], mean: NDArray[np.complex128], common: NDArray[np.bool_]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Factor (scale and turn) and shift [F] that bring the faces nearest to the mean over their common landmarks."""
    count = np.maximum(common.sum(axis=1), 1)
    centre, target = (np.where(common, z, 0).sum(axis=1) / count for z in (faces, mean))
    here, there = (
        np.where(common, z - c[:, None], 0) for z, c in ((faces, centre), (np.broadcast_to(mean, faces.shape), target))
    )
    size = (np.abs(here) ** 2).sum(axis=1)
    scale = (here.conj() * there).sum(axis=1) / np.where(size > 0, size, 1)
    return scale, target - scale * centre
