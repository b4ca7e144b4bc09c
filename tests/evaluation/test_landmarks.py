import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pyspiga_geo.data.records import FaceRecord
from pyspiga_geo.evaluation import contour_errors, evaluate_landmarks, landmark_metrics
from pyspiga_geo.layouts import IBUG68

NAN = math.nan
EYES = ("right_eye_upper", "right_eye_lower", "left_eye_upper", "left_eye_lower")


def face(
    path: str = "a.png", ids: tuple[int, ...] = (7, 12, 1), points: npt.ArrayLike | None = None, **more: Any
) -> FaceRecord:
    """Eye corners 100 px apart and a third point."""
    landmarks = np.array([[0, 0], [100, 0], [50, 50]] if points is None else points, dtype=np.float64)
    return FaceRecord(path, (0, 0, 100, 100), ids, landmarks, np.ones(len(ids)), **more)


def moved(record: FaceRecord, *distances: float) -> FaceRecord:
    """The record with each landmark moved to the right."""
    return replace(record, landmarks=record.landmarks + np.array([[d, 0] for d in distances]))


def test_two_faces_by_hand() -> None:
    annotations = [face("a.png"), face("b.png", points=[[0, 0], [200, 0], [NAN, NAN]])]
    predictions = [
        moved(annotations[0], 1, 2, 6),
        moved(face("b.png", points=[[0, 0], [200, 0], [5, 5]]), 4, 20, 0),
    ]
    metrics = evaluate_landmarks(predictions, annotations, threshold=5)
    assert (metrics.faces, metrics.norm, metrics.threshold) == (2, "inter_ocular", 5)
    assert metrics.per_face == pytest.approx([3, 6])  # (1 + 2 + 6) / 3 and (2 + 10) / 2
    assert metrics.per_landmark == pytest.approx({7: 1.5, 12: 6, 1: 6})
    assert metrics.nme == pytest.approx(4.5)
    assert metrics.fr == 50
    assert metrics.auc == pytest.approx(20, abs=0.01)  # half of the faces, 2 of the 5 percent
    assert metrics.nme_p90 == pytest.approx(5.7)
    assert evaluate_landmarks(predictions, annotations, divisor=3).per_face == pytest.approx([3, 4])


def test_the_order_of_ids_does_not_matter() -> None:
    truth = face()
    turned = replace(truth, ids=truth.ids[::-1], landmarks=truth.landmarks[::-1])
    extra = replace(truth, ids=(*truth.ids, 99), landmarks=np.vstack([truth.landmarks, [[0, 0]]]))
    for prediction in (turned, extra):
        metrics = evaluate_landmarks([prediction], [truth])
        assert (metrics.nme, metrics.auc, set(metrics.per_landmark)) == (0, 100, {7, 12, 1})


def test_faces_may_have_different_landmarks() -> None:
    annotations = [face("a.png"), face("b.png", ids=(7, 12, 2))]
    predictions = [face(path, (7, 12, 1, 2), [[0, 0], [100, 0], [50, 52], [50, 54]]) for path in ("a.png", "b.png")]
    metrics = evaluate_landmarks(predictions, annotations)
    assert metrics.per_landmark == pytest.approx({7: 0, 12: 0, 1: 2, 2: 4})
    assert metrics.per_face == pytest.approx([2 / 3, 4 / 3])


def test_metrics_become_json() -> None:
    truth = face(points=[[0, 0], [100, 0], [NAN, NAN]])
    text = json.dumps(evaluate_landmarks([moved(truth, 1, 1, 0)], [truth]).to_dict(), allow_nan=False)
    assert json.loads(text) == {
        "faces": 1,
        "norm": "inter_ocular",
        "threshold": 8,
        "nme": 1,
        "auc": 87.5,
        "fr": 0,
        "nme_p90": 1,
        "nme_p95": 1,
        "nme_p99": 1,
        "per_face": [1],
        "per_landmark": {"1": None, "7": 1, "12": 1},
        "per_landmark_p90": {"1": None, "7": 1, "12": 1},
        "per_landmark_p95": {"1": None, "7": 1, "12": 1},
        "per_landmark_p99": {"1": None, "7": 1, "12": 1},
        "per_contour": {"right_eyebrow": None} | dict.fromkeys(EYES, 1),
        "unannotated": 1,
    }


def test_percentiles_of_each_landmark() -> None:
    errors = np.stack([np.arange(101.0), np.full(101, NAN)], axis=1)
    errors[7, 1] = 3
    errors[8, 1] = 5
    metrics = landmark_metrics(errors, ids=(7, 12))
    assert metrics.per_landmark == pytest.approx({7: 50, 12: 4})
    assert metrics.per_landmark_p90 == pytest.approx({7: 90, 12: 4.8})
    assert metrics.per_landmark_p99 == pytest.approx({7: 99, 12: 4.98})
    assert metrics.unannotated == 99


def test_a_contour_is_the_nme_of_its_landmarks_alone() -> None:
    rng = np.random.default_rng(0)
    errors = rng.gamma(3, size=(5, 68))
    errors[2, 27:31] = NAN  # this face has no bridge of the nose
    errors[3, 27] = NAN
    found = contour_errors(errors, IBUG68.ids)
    assert list(found) == list(IBUG68.contours)
    assert found["jaw"] == pytest.approx(errors[:, :17].mean())
    rows = [errors[0, 27:31], errors[1, 27:31], errors[3, 28:31], errors[4, 27:31]]
    assert found["nose_bridge"] == pytest.approx(np.mean([row.mean() for row in rows]))
    order = rng.permutation(68)
    assert contour_errors(errors[:, order], np.array(IBUG68.ids)[order].tolist()) == found
    assert contour_errors(errors[:, :2], (7, 9999)) == {}


def test_all_faces_without_the_normaliser_are_counted() -> None:
    faces = [face("a"), *(face(name, points=[[9, 0], [9, 0], [0, 0]]) for name in "bcd")]
    with pytest.raises(ValueError, match=r"face 1 \('b'\): its points \(and those of 2 more faces\) do not"):
        evaluate_landmarks(faces, faces)
    assert evaluate_landmarks(faces, faces, norm="height").nme == 0
