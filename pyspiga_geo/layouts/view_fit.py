"""Least-squares fit of a rigid shape and its scaled orthographic views to annotated points.

Gauss-Newton with Levenberg's damping; the views, of which there may be thousands, are eliminated from every step.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FloatArray = NDArray[np.float64]


def fit_views(
    points: FloatArray, known: NDArray[np.bool_], motion: FloatArray, shape: FloatArray, max_rounds: int = 100
) -> tuple[FloatArray, FloatArray]:
    """Shape and rotations whose scaled orthographic views have the least squared distance from the known points.

    Args:
        points: [F, L, 2], any number where not known.
        known: [F, L], at least four per face.
        motion: first guess of the scaled rows of the rotations [F, 2, 3].
        shape: first guess [L, 3].
        max_rounds: upper bound on the iterations.

    Returns:
        The shape [L, 3], up to scale, rotation and translation, and the rotations [F, 3, 3] from it to the views.

    Example:
        >>> shape = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 1]])
        >>> rotations = Rotation.from_rotvec([[0, angle, 0] for angle in (-0.4, 0.0, 0.4)]).as_matrix()
        >>> points = shape @ rotations[:, :2].transpose(0, 2, 1)
        >>> fitted, views = fit_views(points, np.ones((3, 5), dtype=bool), rotations[:, :2], shape)
        >>> np.allclose(fitted @ views[0, :2].T - points[0], (fitted @ views[0, :2].T - points[0])[0])  # up to a shift
        True
    """
    left, scale, right = np.linalg.svd(motion, full_matrices=False)
    rows = left @ right
    rotation = np.concatenate([rows, np.cross(rows[:, :1], rows[:, 1:])], axis=1)
    zoom = scale.mean(axis=1)
    weight = known.astype(np.float64)
    seen = zoom[:, None, None] * (shape @ rotation.transpose(0, 2, 1))[..., :2]
    shift = ((points - seen) * weight[..., None]).sum(axis=1) / weight.sum(axis=1)[:, None]

    def gaps(shape: FloatArray, rotation: FloatArray, zoom: FloatArray, shift: FloatArray) -> FloatArray:
        view = zoom[:, None, None] * (shape @ rotation.transpose(0, 2, 1))[..., :2] + shift[:, None]
        return (points - view) * weight[..., None]

    state = (shape, rotation, zoom, shift)
    gap = gaps(*state)
    error, damping = (gap**2).sum(), 1e-3
    for _ in range(max_rounds):
        normal = _NormalEquations(state, gap, weight)
        while damping < 1e8:
            trial = normal.step(damping)
            gap = gaps(*trial)
            if (smaller := (gap**2).sum()) < error:
                break
            damping *= 10
        else:
            break
        gain, state, error, damping = error - smaller, trial, smaller, max(damping / 10, 1e-12)
        if gain < 1e-9 * error or error < 1e-28 * (points**2).sum():
            break
    return state[0], state[1]


class _NormalEquations:
    """One linearisation of the fit: H [v; p] = g for the six numbers of each view v and the points p [L, 3].

    No two views meet in an equation: eliminated face by face they leave a system of 3 L.
    """

    def __init__(
        self,
        state: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
        gap: FloatArray,
        weight: FloatArray,
    ) -> None:
        self.state = shape, rotation, zoom, _ = state
        turned = shape @ rotation.transpose(0, 2, 1)
        faces, landmarks = weight.shape
        by_view = np.zeros((faces, 6, landmarks, 2))  # rotation vector, zoom, shift
        by_view[:, 0, :, 1], by_view[:, 1, :, 0] = -turned[..., 2], turned[..., 2]
        by_view[:, 2, :, 0], by_view[:, 2, :, 1] = -turned[..., 1], turned[..., 0]
        by_view[:, :3] *= zoom[:, None, None, None]
        by_view[:, 3], by_view[:, 4, :, 0], by_view[:, 5, :, 1] = turned[..., :2], 1, 1
        by_view *= weight[:, None, :, None]
        by_point = zoom[:, None, None] * rotation[:, :2]  # [F, 2, 3]
        flat = by_view.reshape(faces, 6, -1)
        self.views = flat @ flat.transpose(0, 2, 1)
        self.mixed = (by_view @ by_point[:, None]).reshape(faces, 6, -1)  # [F, 6, 3 L]
        blocks = np.tensordot(weight, by_point.transpose(0, 2, 1) @ by_point, axes=(0, 0))  # [L, 3, 3]
        points = np.zeros((landmarks, 3, landmarks, 3))
        points[np.arange(landmarks), :, np.arange(landmarks)] = blocks
        self.points = points.reshape(3 * landmarks, -1)
        self.view_gap = (flat @ gap.reshape(faces, -1, 1))[..., 0]
        self.point_gap = (gap @ by_point).sum(axis=0).ravel()

    def step(self, damping: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Where the damped solution leads."""
        shape, rotation, zoom, shift = self.state
        diagonal = np.einsum("faa->fa", self.views)
        least = 1e-6 * diagonal.max(axis=1, keepdims=True)  # points on a line turn freely
        diagonal = np.maximum(diagonal, least)
        inverse = np.linalg.inv(self.views + damping * diagonal[:, None] * np.eye(6))
        eliminated = (inverse @ self.mixed).reshape(-1, self.mixed.shape[-1])
        left = self.points - self.mixed.reshape(eliminated.shape).T @ eliminated
        left += damping * np.diag(self.points.diagonal())
        right = self.point_gap - eliminated.T @ self.view_gap.ravel()
        by_point = np.linalg.lstsq(left, right, rcond=1e-13)[0]  # scale, turn and place of the whole are free
        by_view = np.einsum("fab,fb->fa", inverse, self.view_gap - self.mixed @ by_point)
        turn = Rotation.from_rotvec(by_view[:, :3]).as_matrix()
        return shape + by_point.reshape(-1, 3), turn @ rotation, zoom + by_view[:, 3], shift + by_view[:, 4:]
