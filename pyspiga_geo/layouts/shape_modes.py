"""How the shapes of annotated faces vary: principal components after Procrustes alignment."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyspiga_geo.layouts.mean_shape import FloatArray, align_faces


class ShapeModes(NamedTuple):
    """A Gaussian distribution of shapes up to similarity, whose unit is the size of the mean shape.

    Example:
        >>> shapes = np.random.default_rng(0).normal(size=(20, 5, 2))
        >>> shape_modes(shapes, ids=range(5), num_modes=3).modes.shape
        (5, 2, 3)
    """

    mean: FloatArray
    """[L, 2], with its centre at 0 and a root mean square distance of 1 from it."""
    modes: FloatArray
    """[L, 2, K], orthonormal, those of the largest variance first."""
    variances: FloatArray
    """[K], along the modes."""
    residual: float
    """Mean variance along the other directions in which shapes can differ."""


def shape_modes(
    points: FloatArray, ids: Sequence[int], num_modes: int, flip: Sequence[int] | None = None
) -> ShapeModes:
    """Principal components of aligned shapes.

    Args:
        points: [F, L, 2], NaN where not annotated; only faces with all landmarks count.
        ids: names of the landmarks in messages.
        num_modes: K.
        flip: mirror order of the landmarks: mirror images count as well.

    Returns:
        The distribution.

    Raises:
        ValueError: if K is out of range, or fewer than K + 1 faces have all landmarks.

    Example:
        >>> square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        >>> wide = square * [1.1, 1]
        >>> found = shape_modes(np.stack([square, wide]), ids=range(4), num_modes=1)
        >>> (np.sign(found.modes[..., 0]) * np.sign(found.modes[0, 0, 0])).astype(int).tolist()  # wide, not tall
        [[1, -1], [-1, -1], [-1, 1], [1, 1]]
    """
    most = 2 * len(ids) - 4
    if not 0 <= num_modes <= most:
        raise ValueError(f"num_modes must be in 0..{most} with {len(ids)} landmarks, got {num_modes}")
    whole = points[np.isfinite(points).all(axis=(1, 2))]
    if len(whole) <= num_modes:
        raise ValueError(
            f"{num_modes} modes of shape need {num_modes + 1} faces or more with all {len(ids)} landmarks, "
            f"{len(whole)} of {len(points)} have them"
        )
    if flip is not None:
        whole = np.concatenate([whole, whole[:, list(flip)] * [-1, 1]])
    mean, aligned, _ = align_faces(whole, ids)
    spread = (aligned - mean).reshape(len(aligned), -1)
    values, vectors = np.linalg.eigh(spread.T @ spread / len(spread))
    order = np.argsort(values)[::-1][:-4]  # there is no variance along the four similarities
    largest, others = order[:num_modes], order[num_modes:]
    modes = vectors[:, largest].reshape(*mean.shape, num_modes)
    return ShapeModes(mean, modes, values[largest], float(values[others].mean()) if len(others) else 0.0)
