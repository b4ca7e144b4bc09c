"""All figures of one set of predictions: the whole, its subsets, and the faces by how far they are turned."""

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
    """Figures of F faces.

    Args:
        landmarks: NME, AUC, failure rate, percentiles; per face, landmark and contour.
        nme_interval: 95 % confidence interval of the NME (see :func:`bootstrap_interval`), percent.
        pose: Errors of the head pose, NaN where no face has a true or none a predicted one.
        subsets: The figures of each subset by name.
        by_yaw: The figures of the faces in each range of true yaw (see :func:`yaw_bins`), without those of
            unknown yaw and without empty ranges. A face without annotated yaw is where its true landmarks put it.
        computed_yaws: How many faces are in ``by_yaw`` by their landmarks.
        ignored_ids: Predicted landmarks that no annotation has, and that do not count therefore.
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
        predictions: One record for each annotated face, in the same order.
        annotations: The true landmarks and head poses.
        norm: What the errors are divided by: one of ``NORMALISERS``, or two ids. Default: :func:`own_normaliser`.
        threshold: Upper end of the cumulative curve, percent.
        divisor: See :func:`face_errors`; 68 for the published figures of MERL-RAV.
        subsets: Numbers of the faces of each subset, as :func:`read_subsets` gives them.
        layout: What they are landmarks of, where their ids do not tell it (:func:`layout_of`).

    Raises:
        ValueError: As :func:`evaluate_landmarks` and :func:`angle_errors`.

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

    Raises:
        ValueError: They are not of the same number of faces.

    >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 0.0], [100.0, 0.0]]), np.ones(2))
    >>> found = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 3.0], [100.0, 1.0]]), np.ones(2))
    >>> one, best = (evaluate_faces([faces], [truth]) for faces in (found, truth))
    >>> compare_evaluations(one, best)["all"].difference
    2.0
    """
    parts = {"all": (one, reference)}
    parts |= {name: (one.subsets[name], part) for name, part in reference.subsets.items() if name in one.subsets}
    return {name: compare_errors(a.landmarks.per_face, b.landmarks.per_face) for name, (a, b) in parts.items()}
