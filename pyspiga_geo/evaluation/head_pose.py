"""Head-pose errors on plain arrays: yaw, pitch and roll of F faces in degrees, NaN if unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspiga_geo.data.records import FaceRecord, FloatArray
from pyspiga_geo.evaluation.metrics import masked_mean
from pyspiga_geo.evaluation.plain import plain

ANGLES = ("yaw", "pitch", "roll")
LIMITS = (2.5, 5.0, 10.0, 15.0, 30.0)
"""Degrees within which a pose counts as right in the authors' report."""


@dataclass(frozen=True)
class HeadPoseMetrics:
    """Errors of the head pose; NaN if no face has a true or none a predicted angle.

    Args:
        faces: number of faces that have a true head pose.
        mae: mean absolute error of yaw, pitch, roll and the mean of the three, degrees.
        accuracy: percentage of the faces that are wrong by at most so many degrees: angle -> limit -> percentage.
        class_accuracy: percentage of the faces in the right class of 15 degrees, by angle.
        adjacent_accuracy: the same for the right class or its neighbour.

    Example:
        >>> head_pose_metrics([[8, 0, 0]], [[5, 0, 0]]).accuracy["yaw"]
        {2.5: 0.0, 5.0: 100.0, 10.0: 100.0, 15.0: 100.0, 30.0: 100.0}
    """

    faces: int
    mae: dict[str, float]
    accuracy: dict[str, dict[float, float]]
    class_accuracy: dict[str, float]
    adjacent_accuracy: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The results, each named ``pose_...``, with values that JSON has: strings as keys, null for NaN."""
        return {f"pose_{name}": plain(value) for name, value in vars(self).items()}


def head_pose_metrics(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> HeadPoseMetrics:
    """All results on the head poses.

    Args:
        predicted: (yaw, pitch, roll, ...) of each face [F, 3 or more], degrees.
        truth: the same, NaN if unknown.

    Returns:
        The results.

    Raises:
        ValueError: as in :func:`angle_errors`.

    Example:
        >>> head_pose_metrics([[8, 0, 0]], [[7, 0, np.nan]]).mae
        {'yaw': 1.0, 'pitch': 0.0, 'roll': nan, 'mean': nan}
    """
    known = np.isfinite(angle_errors(predicted, truth)).any(axis=1)
    return HeadPoseMetrics(
        int(known.sum()),
        head_pose_errors(predicted, truth),
        head_pose_accuracy(predicted, truth),
        *head_pose_class_accuracy(predicted, truth),
    )


def head_poses(records: Sequence[FaceRecord]) -> FloatArray:
    """Head poses of records.

    Args:
        records: F faces.

    Returns:
        float64 [F, 6]: yaw, pitch, roll in degrees, tx, ty, tz; NaN if unknown.

    Example:
        >>> head_poses([FaceRecord("a.png", (0, 0, 2, 2), (7,), np.zeros((1, 2)), np.ones(1))]).shape
        (1, 6)
    """
    return np.array([face.headpose or (np.nan,) * 6 for face in records], dtype=np.float64).reshape(-1, 6)


def angle_errors(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> FloatArray:
    """Absolute differences of yaw, pitch and roll, wrapped to at most 180 degrees.

    Args:
        predicted: (yaw, pitch, roll, ...) of each face [F, 3 or more], degrees.
        truth: the same, NaN if unknown.

    Returns:
        float64 [F, 3], degrees; NaN if the true angle is unknown, and all NaN if nothing is predicted for any face.

    Raises:
        ValueError: if the numbers of faces differ, or some faces lack a predicted angle whose true value is known (to
            leave them out would favour a method that gives up on hard faces).

    Example:
        >>> angle_errors([[179, 10, 0, 0, 0, 3]], [[-179, 7, 1, 0, 0, 3]]).tolist()
        [[2.0, 3.0, 1.0]]
    """
    p, t = (np.asarray(value, dtype=np.float64)[:, :3] for value in (predicted, truth))
    if p.shape != t.shape:
        raise ValueError(f"head poses of {p.shape[0]} faces cannot be compared with those of {t.shape[0]}")
    lacking = (np.isnan(p) & ~np.isnan(t)).any(axis=1)
    if lacking.any() and not np.isnan(p).all():
        raise ValueError(f"face {lacking.argmax()} has a true head pose but no predicted one")
    difference: FloatArray = np.abs((p - t + 180) % 360 - 180)
    return difference


def head_pose_errors(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, float]:
    """Mean absolute error of yaw, pitch and roll and the mean of the three, degrees.

    Args:
        predicted: (yaw, pitch, roll, ...) of each face [F, 3 or more], degrees.
        truth: the same, NaN if unknown. Faces with an unknown true angle are left out for that angle.

    Returns:
        The error by ``yaw``, ``pitch``, ``roll`` and ``mean``; NaN for an angle that no face has.

    Raises:
        ValueError: as in :func:`angle_errors`.

    Example:
        >>> head_pose_errors([[179, 10, 0, 0, 0, 3]], [[-179, 7, 1, 0, 0, 3]])
        {'yaw': 2.0, 'pitch': 3.0, 'roll': 1.0, 'mean': 2.0}
    """
    return mean_angle_errors(angle_errors(predicted, truth))


def mean_angle_errors(errors: npt.ArrayLike) -> dict[str, float]:
    """Means of the errors [F, 3] of yaw, pitch and roll, as :func:`angle_errors` returns them, and the mean of these.

    Example:
        >>> mean_angle_errors([[1, 2, 3], [3, 4, np.nan]])
        {'yaw': 2.0, 'pitch': 3.0, 'roll': 3.0, 'mean': 2.6666666666666665}
    """
    yaw, pitch, roll = masked_mean(errors, axis=0).tolist()
    return {"yaw": yaw, "pitch": pitch, "roll": roll, "mean": (yaw + pitch + roll) / 3}


def head_pose_accuracy(
    predicted: npt.ArrayLike, truth: npt.ArrayLike, limits: Sequence[float] = LIMITS
) -> dict[str, dict[float, float]]:
    """Percentage of the faces whose angle is wrong by at most so many degrees.

    Args:
        predicted: (yaw, pitch, roll, ...) of each face [F, 3 or more], degrees.
        truth: the same, NaN if unknown. Faces with an unknown true angle are left out for that angle.
        limits: degrees.

    Returns:
        Angle -> limit -> percentage.

    Raises:
        ValueError: as in :func:`angle_errors`.

    Example:
        >>> head_pose_accuracy([[0, 4, 0], [9, 0, 0]], [[0, 0, 0], [0, 0, np.nan]], limits=(2.5, 5))["yaw"]
        {2.5: 50.0, 5: 50.0}
    """
    errors = angle_errors(predicted, truth)
    shares = [masked_mean(np.where(np.isnan(errors), np.nan, 100.0 * (errors <= limit)), axis=0) for limit in limits]
    return {
        name: {limit: float(share[angle]) for limit, share in zip(limits, shares, strict=True)}
        for angle, name in enumerate(ANGLES)
    }


def head_pose_class_accuracy(
    predicted: npt.ArrayLike, truth: npt.ArrayLike, width: float = 15.0
) -> tuple[dict[str, float], dict[str, float]]:
    """Percentage of the faces whose angle falls in the right class, and in the right one or its neighbour.

    Classes are ``width`` degrees wide and centred on the multiples of ``width``: the ``acc_label`` and
    ``acc_adj_label`` of the authors' report.

    Args:
        predicted: (yaw, pitch, roll, ...) of each face [F, 3 or more], degrees.
        truth: the same, NaN if unknown. Faces with an unknown true angle are left out for that angle.
        width: of a class, degrees.

    Returns:
        Both percentages, each by angle.

    Raises:
        ValueError: as in :func:`angle_errors`.

    Example:
        >>> head_pose_class_accuracy([[8, 8, 0]], [[7, 8, 31]])
        ({'yaw': 0.0, 'pitch': 100.0, 'roll': 0.0}, {'yaw': 100.0, 'pitch': 100.0, 'roll': 0.0})
    """
    known = ~np.isnan(angle_errors(predicted, truth))
    p, t = (np.round(np.asarray(value, dtype=np.float64)[:, :3] / width) for value in (predicted, truth))
    turn = round(360 / width)
    apart = np.abs((p - t + turn / 2) % turn - turn / 2)
    right, near = (masked_mean(np.where(known, 100.0 * (apart <= steps), np.nan), axis=0).tolist() for steps in (0, 1))
    return dict(zip(ANGLES, right, strict=True)), dict(zip(ANGLES, near, strict=True))


def yaw_bins(yaw: npt.ArrayLike, edges: Sequence[float] = (15, 30, 45)) -> dict[str, npt.NDArray[np.bool_]]:
    """Which faces are turned by how much, to either side.

    Args:
        yaw: of each face [F], degrees.
        edges: between the ranges, degrees, ascending.

    Returns:
        Name of the range -> bool [F]. A range includes its lower end; faces of unknown yaw are in none, and a range
        without faces is present too.

    Example:
        >>> {name: inside.tolist() for name, inside in yaw_bins([-20, 14.9, 15], edges=[15]).items()}
        {'0-15': [False, True, False], '15-180': [True, False, True]}
    """
    turned = np.abs(np.asarray(yaw, dtype=np.float64))
    return {
        f"{low:g}-{high:g}": (turned >= low) & (turned < high if high < 180 else turned <= 180)
        for low, high in pairwise([0, *edges, 180])
    }
