"""Metrics of landmarks and head pose, counted as the SPIGA authors count them."""

from pyspiga_geo.evaluation.landmarks import LandmarkMetrics, evaluate_landmarks, head_poses, match_records
from pyspiga_geo.evaluation.metrics import (
    auc_fr,
    face_errors,
    head_pose_errors,
    landmark_errors,
    nme,
    percentiles,
)
from pyspiga_geo.evaluation.normalisers import NORMALISERS, normaliser

__all__ = [
    "NORMALISERS",
    "LandmarkMetrics",
    "auc_fr",
    "evaluate_landmarks",
    "face_errors",
    "head_pose_errors",
    "head_poses",
    "landmark_errors",
    "match_records",
    "nme",
    "normaliser",
    "percentiles",
]
