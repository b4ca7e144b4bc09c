r"""The rigid 3-D shape behind annotated 2-D points: factorisation with missing points.

Every face f is modelled as a scaled orthographic view of one rigid shape,

.. math:: x_{fl} = s_f P R_f X_l + t_f, \quad P = (I_2 \; 0).

The centred points of all faces then form a matrix of rank three (Tomasi and Kanade, IJCV 1992). Its factors, made
metric by the condition that the rows of s_f P R_f are orthogonal and of equal length, start a least-squares fit of all
views and points to the annotated positions (:mod:`pyspiga_geo.layouts.view_fit`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pyspiga_geo.layouts.view_fit import fit_views

FloatArray = NDArray[np.float64]

FRONT = 1.4
"""Longer side of the front of an estimated shape, about that of the built-in ones: pose losses depend on it."""

_FEWEST = 3  # faces; two views of any shape are those of others too
_THIN = 0.02  # third singular value of the points over the first, under which they have no depth
_CLEAR = 2.0  # and over the fourth: depth must stand out from what is not rigid
_FRONTAL = np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]])
"""Rotation of the frontal view, from the world's axes to right in the picture, down and away."""


class FlatError(ValueError):
    """The points do not determine a rigid 3-D shape.

    Example:
        >>> try:
        ...     rigid_shape(np.zeros((2, 5, 2)), np.zeros(2))
        ... except FlatError as error:
        ...     print(error)
        it takes four landmarks, each in three faces that have four of them
    """


def rigid_shape(
    points: FloatArray, turns: FloatArray, flip: Sequence[int] | None = None, front: int | None = None
) -> FloatArray:
    """Rigid shape whose scaled orthographic views fit annotated points best.

    It stands in the world axes of :mod:`pyspiga_geo.geometry.rotation`, its centroid at 0, rotated so that the mean of
    the views is frontal; given a mirror order, exchanged landmarks differ only along the axis Y, on average. The
    longer side of its front is :data:`FRONT`.

    Such views do not determine which side is the front: the landmark ``front`` lies before the centroid or, by default,
    the landmarks in the middle of the front before those at its rim.

    Args:
        points: [F, L, 2], aligned to each other (:func:`~pyspiga_geo.layouts.mean_shape.align_faces`), NaN in both
            coordinates where not annotated.
        turns: angles [F] by which the faces were rotated for this, in radians.
        flip: mirror order, or None.
        front: row of a landmark before the centroid, or None.

    Returns:
        The shape [L, 3].

    Raises:
        FlatError: if there are fewer than four landmarks or three faces with four of them, a landmark is in fewer
            than three of those faces, or the views do not differ in depth.

    Example:
        >>> from pyspiga_geo.layouts.mean_shape import align_faces
        >>> turned = np.linspace(-0.5, 0.5, 9)[:, None]
        >>> x, y, z = np.array([[-2, 2, 0, -1, 1], [-1, -1, 0, 2, 2], [0, 0, 2, 1, 1]])
        >>> faces = np.stack([x * np.cos(turned) + z * np.sin(turned), y + 0 * turned], axis=-1)
        >>> _, aligned, turns = align_faces(faces, ids=range(5))
        >>> shape = rigid_shape(aligned, turns)
        >>> (shape[2, 0] > shape[[0, 1, 3, 4], 0]).all()  # the third point, the nose, is in front
        np.True_
    """
    known = np.isfinite(points[..., 0])
    enough = known.sum(axis=1) >= 4
    points, known, turns = points[enough], known[enough], turns[enough]
    if points.shape[1] < 4 or known.sum(axis=0).min(initial=len(points)) < _FEWEST or len(points) < _FEWEST:
        raise FlatError("it takes four landmarks, each in three faces that have four of them")
    filled = _complete(points, known)
    motion, shape = _metric(*_factors(filled))
    shape, rotation = fit_views(np.where(known[..., None], points, 0), known, motion, shape)
    upright = Rotation.from_rotvec(-turns[:, None] * [0.0, 0, 1]).as_matrix() @ rotation  # as in the pictures
    shape = (shape - shape.mean(axis=0)) @ _nearest_rotation(upright.sum(axis=0)).T @ _FRONTAL
    if _depth_sign(shape, front) < 0:  # the same views, each turned the other way
        shape = shape * [-1, 1, 1]
    if flip is not None and list(flip) != list(range(len(shape))):
        shape = shape @ _to_side(shape - shape[list(flip)]).T
    return shape * (FRONT / np.ptp(shape[:, 1:], axis=0).max())


def _complete(points: FloatArray, known: NDArray[np.bool_], rounds: int = 100) -> FloatArray:
    """Points [F, L, 2] with missing ones filled in so that the matrix of all is nearly of rank three; centred."""
    mean = np.nanmean(points, axis=0)
    filled = np.where(known[..., None], points, mean)
    for _ in range(1 if known.all() else rounds):
        centre = filled.mean(axis=1, keepdims=True)
        axes = np.linalg.eigh(np.einsum("flc,fmc->lm", filled - centre, filled - centre))[1][:, -3:]
        low_rank = np.einsum("lm,fmc->flc", axes @ axes.T, filled - centre) + centre
        filled = np.where(known[..., None], points, low_rank)
    return filled - filled.mean(axis=1, keepdims=True)


def _factors(filled: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Affine views [F, 2, 3] and shape [L, 3] of centred points [F, L, 2]."""
    rows = filled.transpose(0, 2, 1).reshape(-1, filled.shape[1])
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    noise = values[3] if len(values) > 3 else 0
    if values[2] < max(_THIN * values[0], _CLEAR * noise):
        raise FlatError("the landmarks lie in one plane, or are always seen from nearly the same side")
    return (left[:, :3] * values[:3]).reshape(-1, 2, 3), right[:3].T


def _metric(motion: FloatArray, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Make the rows of every view orthogonal and of equal length, as near as one change of basis Q brings them.

    C = Q Q^T solves i C i = j C j and i C j = 0 for the rows i, j of all views.
    """
    i, j = motion[:, 0], motion[:, 1]
    upper = np.triu_indices(3)

    def product(a: FloatArray, b: FloatArray) -> FloatArray:
        both = a[:, :, None] * b[:, None]
        return (both + both.transpose(0, 2, 1))[:, *upper] / np.where(np.equal(*upper), 2, 1)

    equations = np.concatenate([product(i, i) - product(j, j), 2 * product(i, j)])
    _, values, right = np.linalg.svd(equations, full_matrices=False)
    if values[4] < 1e-6 * values[0]:
        raise FlatError("the landmarks are seen from too few different sides")
    symmetric = np.zeros((3, 3))
    symmetric[upper] = right[-1]
    symmetric += np.triu(symmetric, 1).T
    values, vectors = np.linalg.eigh(symmetric * np.sign(np.trace(symmetric)))
    basis = vectors * np.sqrt(np.maximum(values, 0.01 * values[-1]))  # noise may have made it indefinite
    return motion @ basis, np.linalg.solve(basis, shape.T).T


def _nearest_rotation(matrix: FloatArray) -> FloatArray:
    left, _, right = np.linalg.svd(matrix)
    return (left * [1, 1, np.linalg.det(left @ right)]) @ right


def _depth_sign(shape: FloatArray, front: int | None) -> float:
    """Above 0 when the axis X of a shape [L, 3] about 0 points to its front already."""
    if front is not None:
        return float(shape[front, 0])
    from_middle = (shape[:, 1:] ** 2).sum(axis=1)
    return -float(shape[:, 0] @ (from_middle - from_middle.mean()))


def _to_side(differences: FloatArray) -> FloatArray:
    """Smallest rotation that turns the common direction of the differences [L, 3] to the axis Y."""
    axis = np.linalg.svd(differences)[2][0]
    axis = axis * np.copysign(1, axis[1])
    rotation, _ = Rotation.align_vectors([[0, 1, 0]], [axis])
    return rotation.as_matrix()
