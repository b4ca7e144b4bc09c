"""From two lists of face records to the landmark figures that papers report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspiga_geo.data.records import FaceRecord, landmarks_for
from pyspiga_geo.evaluation.metrics import auc_fr, face_errors, landmark_errors, masked_mean, percentiles
from pyspiga_geo.evaluation.normalisers import normaliser

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LandmarkMetrics:
    """Landmark figures of F faces, all errors in percent of the normaliser.

    Args:
        faces: Number of faces F.
        norm: Which length the errors are divided by, one of ``NORMALISERS``.
        threshold: Upper end of the cumulative curve, percent.
        nme: Mean over faces of the mean over landmarks.
        auc: Area under the cumulative error curve, percent of the largest possible.
        fr: Failure rate, percent of the faces.
        nme_p90, nme_p95, nme_p99: Percentiles of the faces' errors.
        per_face: Mean error of each face, float64 [F], in the order of the records.
        per_landmark: Mean error of each landmark by id.
    """

    faces: int
    norm: str
    threshold: float
    nme: float
    auc: float
    fr: float
    nme_p90: float
    nme_p95: float
    nme_p99: float
    per_face: FloatArray
    per_landmark: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """The same names with values that JSON has: lists, texts as keys, null for an undefined error."""
        per_landmark = {
            str(key): None if math.isnan(value) else value for key, value in self.per_landmark.items()
        }
        return {**vars(self), "per_face": self.per_face.tolist(), "per_landmark": per_landmark}


def evaluate_landmarks(
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    norm: str = "corners",
    threshold: float = 8.0,
    divisor: int | None = None,
) -> LandmarkMetrics:
    """Compare predicted with annotated landmarks, face by face in the order given.

    Landmarks that an annotation lacks do not count, nor do predicted landmarks beyond the annotated ones.
    Boxes and normalisers come from the annotations.

    Args:
        predictions: One record for each annotated face, in the same order.
        annotations: The true landmarks.
        norm: One of ``NORMALISERS``.
        threshold: Upper end of the cumulative curve, percent.
        divisor: See :func:`face_errors`; 68 for the published figures of MERL-RAV.

    Raises:
        ValueError: The two do not match (see :func:`match_records`), or a face has no normaliser.
    """
    ids, predicted, truth = match_records(predictions, annotations)
    scale = normaliser(truth, ids, norm, np.array([face.bbox for face in annotations]))
    undefined = ~(scale > 0)  # NaN as well as zero
    if undefined.any():
        face = int(undefined.argmax())
        raise ValueError(
            f"{_name(annotations, face)}: its points do not define the normaliser {norm!r}; use another"
        )
    errors = landmark_errors(predicted, truth, scale)
    per_face = face_errors(errors, divisor)
    auc, fr = auc_fr(per_face, threshold)
    p90, p95, p99 = percentiles(per_face).tolist()
    per_landmark = dict(zip(ids, masked_mean(errors, axis=0).tolist(), strict=True))
    mean = math.fsum(per_face) / len(per_face)
    return LandmarkMetrics(
        len(per_face), norm, threshold, mean, auc, fr, p90, p95, p99, per_face, per_landmark
    )


def match_records(
    predictions: Sequence[FaceRecord], annotations: Sequence[FaceRecord]
) -> tuple[tuple[int, ...], FloatArray, FloatArray]:
    """Bring both into arrays over the same landmarks, those that any annotation has.

    Returns:
        The ids of the L landmarks; predicted positions [F, L, 2]; true positions [F, L, 2], NaN where not
        annotated. Both in pixels of the image.

    Raises:
        ValueError: No faces, different numbers of faces, different images or another order of them, a face
            without annotated landmarks, or a prediction that lacks annotated landmarks.
    """
    if len(predictions) != len(annotations):
        raise ValueError(f"there are {len(predictions)} predictions for {len(annotations)} annotations")
    if not annotations:
        raise ValueError("there are no faces to evaluate")
    predicted_paths, true_paths = ([face.imgpath for face in faces] for faces in (predictions, annotations))
    if predicted_paths != true_paths:
        same = sorted(predicted_paths) == sorted(true_paths)
        face = next(
            i for i, paths in enumerate(zip(predicted_paths, true_paths, strict=True)) if len(set(paths)) > 1
        )
        what = "the same images in another order" if same else "different images"
        raise ValueError(
            f"predictions and annotations hold {what}: "
            f"face {face} is {predicted_paths[face]!r} and {true_paths[face]!r}"
        )
    ids = tuple(dict.fromkeys(landmark for face in annotations for landmark in face.ids))
    predicted, truth = (
        np.stack([landmarks_for(face, ids) for face in faces]) for faces in (predictions, annotations)
    )
    for face in range(len(annotations)):
        annotated = ~np.isnan(truth[face].sum(axis=1))
        lacking = annotated & np.isnan(predicted[face].sum(axis=1))
        if not annotated.any():
            raise ValueError(f"{_name(annotations, face)}: has no annotated landmark")
        if missing := [str(ids[row]) for row in np.flatnonzero(lacking)]:
            raise ValueError(
                f"{_name(predictions, face)}: the prediction lacks {len(missing)} annotated landmarks "
                f"(ids {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}); it has "
                f"{len(predictions[face].ids)} ids, the annotation {len(annotations[face].ids)}"
            )
    return ids, predicted, truth


def _name(records: Sequence[FaceRecord], face: int) -> str:
    return f"face {face} ({records[face].imgpath!r})"
