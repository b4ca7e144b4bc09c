"""The landmark metrics that papers report, from errors or from two lists of face records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspiga_geo.data.records import FaceRecord, FloatArray
from pyspiga_geo.evaluation.matching import face_name, layout_of, match_records
from pyspiga_geo.evaluation.metrics import auc_fr, face_errors, landmark_errors, masked_mean, percentiles
from pyspiga_geo.evaluation.normalisers import normaliser, own_normaliser
from pyspiga_geo.evaluation.plain import plain
from pyspiga_geo.layouts import Layout
from pyspiga_geo.layouts.layout import Normaliser, current_name


@dataclass(frozen=True, eq=False)
class LandmarkMetrics:
    """Landmark metrics of F faces, all errors in percent of the normaliser.

    Args:
        faces: number of faces F.
        norm: the length that the errors are divided by, one of ``NORMALISERS`` or the distance of two ids.
        threshold: upper end of the cumulative curve, percent.
        nme: mean over faces of the mean over landmarks.
        auc: area under the cumulative error curve, percent of the largest possible.
        fr: failure rate, percent of the faces.
        nme_p90, nme_p95, nme_p99: percentiles of the faces' errors.
        per_face: mean error of each face, float64 [F], in the order of the records.
        per_landmark: mean error of each landmark by id.
        per_landmark_p90, per_landmark_p95, per_landmark_p99: percentiles of each landmark's errors by id.
        per_contour: NME of the landmarks of each contour of the layout alone; empty for an unknown layout.
        unannotated: number of landmarks of all the faces that have no annotation and are left out.

    Example:
        >>> metrics = landmark_metrics([[1.0, 3.0], [2.0, 10.0]], ids=(7, 12))
        >>> metrics.nme, metrics.per_face.tolist()
        (4.0, [2.0, 6.0])
    """

    faces: int
    norm: Normaliser
    threshold: float
    nme: float
    auc: float
    fr: float
    nme_p90: float
    nme_p95: float
    nme_p99: float
    per_face: FloatArray
    per_landmark: dict[int, float]
    per_landmark_p90: dict[int, float]
    per_landmark_p95: dict[int, float]
    per_landmark_p99: dict[int, float]
    per_contour: dict[str, float]
    unannotated: int

    def to_dict(self) -> dict[str, Any]:
        """The same names with values that JSON has: lists, strings as keys, null for an undefined error."""
        return dict(plain(vars(self)))


def evaluate_landmarks(
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    norm: Normaliser | None = None,
    threshold: float = 8.0,
    divisor: int | None = None,
    layout: str | Layout | None = None,
) -> LandmarkMetrics:
    """Compare predicted with annotated landmarks, face by face in the order given.

    Landmarks that an annotation lacks are left out, and so are predicted landmarks beyond the annotated ones.
    Boxes and normalisers come from the annotations.

    Args:
        predictions: one record for each annotated face, in the same order.
        annotations: the true landmarks.
        norm: what the errors are divided by: one of ``NORMALISERS``, or two ids. Default: :func:`own_normaliser`.
        threshold: upper end of the cumulative curve, percent.
        divisor: see :func:`face_errors`; 68 for the published figures of MERL-RAV.
        layout: the landmark set, if the ids do not determine it (:func:`layout_of`).

    Returns:
        The metrics.

    Raises:
        ValueError: if the two do not match (see :func:`match_records`), or a face has no normaliser.

    Example:
        >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 0.0], [100.0, 0.0]]), np.ones(2))
        >>> found = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 3.0], [100.0, 1.0]]), np.ones(2))
        >>> evaluate_landmarks([found], [truth]).nme
        2.0
    """
    ids, errors = record_errors(predictions, annotations, norm, layout)
    return landmark_metrics(errors, ids, norm, threshold, divisor, layout)


def record_errors(
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    norm: Normaliser | None = None,
    layout: str | Layout | None = None,
) -> tuple[tuple[int, ...], FloatArray]:
    """Errors of all landmarks of all faces.

    Args:
        predictions: one record for each annotated face, in the same order.
        annotations: the true landmarks.
        norm: what the errors are divided by: one of ``NORMALISERS``, or two ids. Default: :func:`own_normaliser`.
        layout: the landmark set, if the ids do not determine it (:func:`layout_of`).

    Returns:
        The ids of the L landmarks, and their errors [F, L] in percent of ``norm``; NaN where not annotated.

    Raises:
        ValueError: as in :func:`evaluate_landmarks`.

    Example:
        >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 0.0], [100.0, 0.0]]), np.ones(2))
        >>> found = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 3.0], [100.0, 1.0]]), np.ones(2))
        >>> record_errors([found], [truth])
        ((7, 12), array([[3., 1.]]))
    """
    ids, predicted, truth = match_records(predictions, annotations, layout)
    norm = own_normaliser(ids, layout) if norm is None else norm
    scale = normaliser(truth, ids, norm, np.array([face.bbox for face in annotations]))
    undefined = np.flatnonzero(~(scale > 0))  # NaN as well as zero
    if undefined.size:
        more = f" (and those of {undefined.size - 1} more faces)" if undefined.size > 1 else ""
        raise ValueError(
            f"{face_name(annotations, undefined[0])}: its points{more} do not define the normaliser {norm!r}; "
            "use another"
        )
    return ids, landmark_errors(predicted, truth, scale)


def landmark_metrics(
    errors: npt.ArrayLike,
    ids: Sequence[int],
    norm: Normaliser | None = None,
    threshold: float = 8.0,
    divisor: int | None = None,
    layout: str | Layout | None = None,
) -> LandmarkMetrics:
    """All metrics of given errors.

    Args:
        errors: [F, L], percent of ``norm``, NaN where not annotated.
        ids: of the L landmarks.
        norm: what the errors are divided by, for the result. Default: :func:`own_normaliser`.
        threshold: upper end of the cumulative curve, percent.
        divisor: see :func:`face_errors`.
        layout: the landmark set, if the ids do not determine it (:func:`layout_of`).

    Returns:
        The metrics.

    Raises:
        ValueError: if there are no faces, a face has no landmarks, or threshold or divisor is not above zero.

    Example:
        >>> landmark_metrics([[1.0, 3.0], [2.0, np.nan]], ids=(7, 12)).per_landmark
        {7: 1.5, 12: 3.0}
    """
    values = np.asarray(errors, dtype=np.float64)
    per_face = face_errors(values, divisor)
    auc, fr = auc_fr(per_face, threshold)
    p90, p95, p99 = percentiles(per_face).tolist()
    of_landmark = np.array([percentiles(column) for column in values.T])
    mean, l90, l95, l99 = (
        dict(zip(ids, row.tolist(), strict=True)) for row in (masked_mean(values, axis=0), *of_landmark.T)
    )
    return LandmarkMetrics(
        faces=len(per_face),
        norm=own_normaliser(ids, layout) if norm is None else current_name(norm),
        threshold=threshold,
        nme=math.fsum(per_face) / len(per_face),
        auc=auc,
        fr=fr,
        nme_p90=p90,
        nme_p95=p95,
        nme_p99=p99,
        per_face=per_face,
        per_landmark=mean,
        per_landmark_p90=l90,
        per_landmark_p95=l95,
        per_landmark_p99=l99,
        per_contour=contour_errors(values, ids, layout),
        unannotated=int(np.isnan(values).sum()),
    )


def contour_errors(errors: npt.ArrayLike, ids: Sequence[int], layout: str | Layout | None = None) -> dict[str, float]:
    """NME of each contour's landmarks alone: the mean over the faces that have any of them, percent.

    Args:
        errors: [F, L], percent, NaN where not annotated.
        ids: of the L landmarks.
        layout: whose contours to use. Default: that of :func:`layout_of`.

    Returns:
        Contour -> error; empty if the layout is not known.

    Example:
        >>> contour_errors([[8.0, 1.0, 3.0]], ids=(7, 128, 129))["nose_bridge"]
        2.0
    """
    values, known = np.asarray(errors, dtype=np.float64), layout_of(ids, layout)
    if known is None:
        return {}
    column = {landmark: index for index, landmark in enumerate(ids)}
    columns = {
        name: [column[known.ids[row]] for row in dict.fromkeys(rows) if known.ids[row] in column]
        for name, rows in known.contours.items()
    }
    return {
        name: float(masked_mean(face_errors(values[:, members]), axis=0))
        for name, members in columns.items()
        if members
    }
