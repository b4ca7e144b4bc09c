"""Metrics of landmarks and head pose, defined as in the SPIGA authors' evaluation; intervals and paired tests.

The torchmetrics classes, which accumulate over batches and processes, are in
:mod:`pyspiga_geo.evaluation.torch_metrics`: they need the extra ``train``.
"""

from pyspiga_geo.evaluation.calibration import auroc, ellipse_coverage, mahalanobis, surest_half_ratio
from pyspiga_geo.evaluation.evaluation import Evaluation, compare_evaluations, evaluate_faces
from pyspiga_geo.evaluation.head_pose import (
    HeadPoseMetrics,
    angle_errors,
    head_pose_accuracy,
    head_pose_class_accuracy,
    head_pose_errors,
    head_pose_metrics,
    head_poses,
    yaw_bins,
)
from pyspiga_geo.evaluation.landmark_pose import landmark_poses, true_yaws
from pyspiga_geo.evaluation.landmarks import (
    LandmarkMetrics,
    contour_errors,
    evaluate_landmarks,
    landmark_metrics,
    record_errors,
)
from pyspiga_geo.evaluation.matching import MismatchError, layout_of, match_records
from pyspiga_geo.evaluation.metrics import auc_fr, face_errors, landmark_errors, nme, percentiles
from pyspiga_geo.evaluation.normalisers import NORMALISERS, normaliser, normaliser_text, own_normaliser
from pyspiga_geo.evaluation.statistics import PairedComparison, bootstrap_interval, compare_errors
from pyspiga_geo.evaluation.subsets import read_subsets

__all__ = [
    "NORMALISERS",
    "Evaluation",
    "HeadPoseMetrics",
    "LandmarkMetrics",
    "MismatchError",
    "PairedComparison",
    "angle_errors",
    "auc_fr",
    "auroc",
    "bootstrap_interval",
    "compare_errors",
    "compare_evaluations",
    "contour_errors",
    "ellipse_coverage",
    "evaluate_faces",
    "evaluate_landmarks",
    "face_errors",
    "head_pose_accuracy",
    "head_pose_class_accuracy",
    "head_pose_errors",
    "head_pose_metrics",
    "head_poses",
    "landmark_errors",
    "landmark_metrics",
    "landmark_poses",
    "layout_of",
    "mahalanobis",
    "match_records",
    "nme",
    "normaliser",
    "normaliser_text",
    "own_normaliser",
    "percentiles",
    "read_subsets",
    "record_errors",
    "surest_half_ratio",
    "true_yaws",
    "yaw_bins",
]
