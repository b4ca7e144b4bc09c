"""Head poses from annotated landmarks, for faces without an annotated head pose."""

from collections.abc import Sequence

import numpy as np
import torch

from pyspiga_geo.data.records import FaceRecord, FloatArray, landmarks_for
from pyspiga_geo.evaluation.matching import layout_of
from pyspiga_geo.geometry import square_crop, transform_points
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models.head_pose import POSE_CROP, pose_targets


def landmark_poses(records: Sequence[FaceRecord], layout: str | Layout | None = None) -> FloatArray:
    """Pose of the rigid face from each record's landmarks and box (:func:`pose_from_points`).

    On 300-W private the angles differ from the
    annotated ones by 0.2 degrees on average, because those come from landmarks rounded to whole pixels.

    Args:
        records: F faces.
        layout: the landmark set. Default: that of :func:`layout_of`.

    Returns:
        float64 [F, 6]: yaw, pitch, roll in degrees, tx, ty, tz as in :func:`head_poses`. NaN for
        faces with fewer than four of the landmarks 1 to 24, and for all if the layout is not known or has no rigid
        shape that determines a pose.

    Raises:
        MismatchError: if the layout named lacks some of the landmarks.

    Example:
        >>> landmark_poses([FaceRecord("a.png", (0, 0, 2, 2), (7,), np.zeros((1, 2)), np.ones(1))]).round().tolist()
        [[nan, nan, nan, nan, nan, nan]]
    """
    known = layout_of({landmark for face in records for landmark in face.ids}, layout)
    if known is None:
        return np.full((len(records), 6), np.nan)
    landmarks = torch.from_numpy(np.stack([landmarks_for(face, known.ids) for face in records]))
    boxes = torch.tensor([face.bbox for face in records], dtype=torch.float64)
    pos = transform_points(landmarks, square_crop(boxes, POSE_CROP)) / POSE_CROP
    poses: FloatArray = pose_targets(pos, pos.isfinite().all(dim=2), known).numpy()
    return poses


def true_yaws(records: Sequence[FaceRecord], layout: str | Layout | None = None) -> tuple[FloatArray, int]:
    """Annotated yaw of each face, or else that of its landmarks.

    Args:
        records: F faces.
        layout: the landmark set. Default: that of :func:`layout_of`.

    Returns:
        Yaw [F] in degrees, NaN if unknown; and the number of faces whose yaw was computed from landmarks.

    Raises:
        MismatchError: if the layout named lacks some of the landmarks.

    Example:
        >>> yaw, computed = true_yaws([FaceRecord("a.png", (0, 0, 2, 2), (7,), np.zeros((1, 2)), np.ones(1))])
        >>> yaw.tolist(), computed
        ([nan], 0)
    """
    yaw = np.array([np.nan if face.headpose is None else face.headpose[0] for face in records])
    lacking = np.isnan(yaw)
    if lacking.any():
        yaw = np.where(lacking, landmark_poses(records, layout)[:, 0], yaw)
    return yaw, int((lacking & ~np.isnan(yaw)).sum())
