"""All results of one set of predictions: the whole, its subsets, and the faces by yaw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspiga_geo.data.records import FaceRecord
from pyspiga_geo.evaluation.head_pose import HeadPoseMetrics, head_pose_metrics, head_poses, yaw_bins
from pyspiga_geo.evaluation.landmark_pose import true_yaws
from pyspiga_geo.evaluation.landmarks import LandmarkMetrics, landmark_metrics, record_errors
from pyspiga_geo.evaluation.plain import plain
from pyspiga_geo.evaluation.statistics import PairedComparison, bootstrap_interval, compare_errors
from pyspiga_geo.layouts import Layout
from pyspiga_geo.layouts.layout import Normaliser


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results on F faces.

    Args:
        landmarks: NME, AUC, failure rate, percentiles; per face, landmark and contour.
        nme_interval: 95 % confidence interval of the NME (see :func:`bootstrap_interval`), percent.
        pose: errors of the head pose, NaN if no face has a true or none a predicted one.
        subsets: the results on each subset by name.
        by_yaw: the results on the faces in each range of true yaw (see :func:`yaw_bins`), without those of
            unknown yaw and without empty ranges. A face without annotated yaw gets the yaw of its true landmarks.
        computed_yaws: number of faces whose yaw in ``by_yaw`` was computed from their landmarks.
        ignored_ids: predicted landmarks that no annotation has, and that are therefore ignored.

    Example:
        >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 0.0], [100.0, 0.0]]), np.ones(2))
        >>> found = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 3.0], [100.0, 1.0]]), np.ones(2))
        >>> result = evaluate_faces([found, found], [truth, truth])
        >>> result.landmarks.nme, result.nme_interval
        (2.0, (2.0, 2.0))
    """

    landmarks: LandmarkMetrics
    nme_interval: tuple[float, float]
    pose: HeadPoseMetrics
    subsets: dict[str, "Evaluation"] = field(default_factory=dict)
    by_yaw: dict[str, "Evaluation"] = field(default_factory=dict)
    computed_yaws: int = 0
    ignored_ids: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All figures with values that JSON has; single faces only for the whole."""
        names = ("nme_interval", "ignored_ids", "computed_yaws")
        figures = self.landmarks.to_dict() | plain({name: getattr(self, name) for name in names}) | self.pose.to_dict()
        for kind, group in (("subsets", self.subsets), ("by_yaw", self.by_yaw)):
            if group:
                figures[kind] = {name: part.to_dict() for name, part in group.items()}
                for part in figures[kind].values():
                    del part["per_face"], part["ignored_ids"], part["computed_yaws"]
        return figures


def evaluate_faces(
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    norm: Normaliser | None = None,
    threshold: float = 8.0,
    divisor: int | None = None,
    subsets: Mapping[str, Iterable[int]] | None = None,
    layout: str | Layout | None = None,
) -> Evaluation:
    """Compare predicted with annotated landmarks and head poses, face by face in the order given.

    Args:
        predictions: one record for each annotated face, in the same order.
        annotations: the true landmarks and head poses.
        norm: what the errors are divided by: one of ``NORMALISERS``, or two ids. Default: :func:`own_normaliser`.
        threshold: upper end of the cumulative curve, percent.
        divisor: see :func:`face_errors`; 68 for the published figures of MERL-RAV.
        subsets: numbers of the faces of each subset, as :func:`read_subsets` returns them.
        layout: the landmark set, if the ids do not determine it (:func:`layout_of`).

    Returns:
        The results.

    Raises:
        ValueError: as in :func:`evaluate_landmarks` and :func:`angle_errors`.

    Example:
        >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 0.0], [100.0, 0.0]]), np.ones(2))
        >>> found = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 3.0], [100.0, 1.0]]), np.ones(2))
        >>> evaluate_faces([found, found], [truth, truth], subsets={"first": [0]}).subsets["first"].landmarks.nme
        2.0
    """
    ids, errors = record_errors(predictions, annotations, norm, layout)
    found, true = head_poses(predictions), head_poses(annotations)
    yaw, computed = true_yaws(annotations, layout)

    def part(faces: npt.ArrayLike, **more: Any) -> Evaluation:
        rows = np.asarray(faces)
        landmarks = landmark_metrics(errors[rows], ids, norm, threshold, divisor, layout)
        interval = bootstrap_interval(landmarks.per_face)
        return Evaluation(landmarks, interval, head_pose_metrics(found[rows], true[rows]), **more)

    return part(
        range(len(errors)),
        subsets={name: part(list(faces)) for name, faces in (subsets or {}).items()},
        by_yaw={name: part(inside) for name, inside in yaw_bins(yaw).items() if inside.any()},
        computed_yaws=computed,
        ignored_ids=tuple(sorted({landmark for face in predictions for landmark in face.ids} - {*ids})),
    )


def compare_evaluations(one: Evaluation, reference: Evaluation) -> dict[str, PairedComparison]:
    """Paired comparison (:func:`compare_errors`) of the whole and of every subset that both have.

    Args:
        one: results of a method.
        reference: results of the method that it is compared with, on the same faces.

    Returns:
        The comparison of the whole as ``"all"``, and of each subset by its name.

    Raises:
        ValueError: if they are not of the same number of faces.

    Example:
        >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 0.0], [100.0, 0.0]]), np.ones(2))
        >>> found = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 3.0], [100.0, 1.0]]), np.ones(2))
        >>> one, best = (evaluate_faces([faces], [truth]) for faces in (found, truth))
        >>> compare_evaluations(one, best)["all"].difference
        2.0
    """
    parts = {"all": (one, reference)}
    parts |= {name: (one.subsets[name], part) for name, part in reference.subsets.items() if name in one.subsets}
    return {name: compare_errors(a.landmarks.per_face, b.landmarks.per_face) for name, (a, b) in parts.items()}
