"""Metrics of landmarks and head pose, counted as the SPIGA authors count them."""

from pyspiga_geo.evaluation.head_pose import (
    angle_errors,
    head_pose_accuracy,
    head_pose_class_accuracy,
    head_pose_errors,
    head_poses,
    yaw_bins,
)
from pyspiga_geo.evaluation.landmarks import LandmarkMetrics, evaluate_landmarks, match_records
from pyspiga_geo.evaluation.metrics import (
    auc_fr,
    face_errors,
    landmark_errors,
    nme,
    percentiles,
)
from pyspiga_geo.evaluation.normalisers import NORMALISERS, normaliser

__all__ = [
    "NORMALISERS",
    "LandmarkMetrics",
    "angle_errors",
    "auc_fr",
    "evaluate_landmarks",
    "face_errors",
    "head_pose_accuracy",
    "head_pose_class_accuracy",
    "head_pose_errors",
    "head_poses",
    "landmark_errors",
    "match_records",
    "nme",
    "normaliser",
    "percentiles",
    "yaw_bins",
]
