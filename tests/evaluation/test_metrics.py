import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pyspiga_geo.data.records import FaceRecord, read_records
from pyspiga_geo.evaluation import (
    NORMALISERS,
    auc_fr,
    evaluate_landmarks,
    face_errors,
    head_pose_errors,
    head_poses,
    landmark_errors,
    match_records,
    nme,
    normaliser,
    percentiles,
)

NAN = math.nan


def face(
    path: str = "a.png", ids: tuple[int, ...] = (7, 12, 1), points: npt.ArrayLike | None = None, **more: Any
) -> FaceRecord:
    """Eye corners 100 px apart and a third point."""
    landmarks = np.array([[0, 0], [100, 0], [50, 50]] if points is None else points, dtype=np.float64)
    return FaceRecord(path, (0, 0, 100, 100), ids, landmarks, np.ones(len(ids)), **more)


def moved(record: FaceRecord, *distances: float) -> FaceRecord:
    """The record with each landmark moved to the right."""
    return replace(record, landmarks=record.landmarks + np.array([[d, 0] for d in distances]))


# ---- normalisers


def test_each_normaliser_by_hand() -> None:
    points = [[[10, 20], [70, 100], [20, 0]]]  # box 60 x 100
    length = {
        kind: normaliser(points, (7, 12, 1), kind, bbox=[[0, 0, 9, 40]]).item()
        for kind in NORMALISERS
        if kind != "pupils"
    }
    assert length == pytest.approx(
        {
            "corners": 100,  # (60, 80)
            "lnd_bbox": math.sqrt(6000),
            "bbox": math.sqrt(360),
            "height": 40,
            "diagonal": 41,
        }
    )


@pytest.mark.parametrize(
    ("right", "left", "others"),
    [
        ((7, 138, 139, 8, 141, 142), (11, 144, 145, 12, 147, 148), (161, 163, 165, 167)),
        # the pupils' own points, 196 and 197, do not count
        ((7, 161, 9, 163, 8, 165, 10, 167), (11, 169, 13, 171, 12, 173, 14, 175), (138, 139, 141, 196, 197)),
    ],
)
def test_pupils_are_the_means_of_the_eyelids(
    right: tuple[int, ...], left: tuple[int, ...], others: tuple[int, ...]
) -> None:
    right_eye, left_eye = np.array([10, 10]), np.array([40, 50])
    rng = np.random.default_rng(0)
    around = rng.normal(size=(len(right), 2))
    around -= around.mean(axis=0)
    points = np.concatenate([around + right_eye, around * 2 + left_eye, np.full((len(others), 2), 999)])
    order = rng.permutation(len(points))
    ids = np.array([*right, *left, *others])[order].tolist()
    assert normaliser(points[None, order], ids, "pupils").tolist() == pytest.approx([50])


def test_pupils_are_found_in_the_layouts_as_they_are(shared: Path) -> None:
    for name, rows in (("300wprivate", (36, 42, 48)), ("wflw", (60, 68, 76))):
        ids = json.loads((shared / "layouts" / f"{name}_db_info.json").read_text())["ldm_ids"]
        points = np.zeros((1, len(ids), 2))
        points[:, rows[1] : rows[2]] = [3, 4]
        assert normaliser(points, ids, "pupils").tolist() == [5]
        if name == "300wprivate":
            assert (ids.index(7), ids.index(12)) == (36, 45)  # the outer eye corners of 300-W


def test_a_normaliser_without_its_points() -> None:
    points = [[[NAN, NAN], [10, 0], [20, 5]], [[0, 0], [3, 4], [5, 5]]]
    assert normaliser(points, (7, 12, 1), "corners") == pytest.approx([NAN, 5], nan_ok=True)
    assert normaliser(points, (7, 12, 1), "lnd_bbox") == pytest.approx([math.sqrt(50), 5])
    for kind, reason in (
        ("corners", "landmark 7, which is not among the ids"),
        ("pupils", "eyelid points"),
        ("height", "needs the annotated boxes"),
        ("eyes", "unknown normaliser 'eyes'; known are corners"),
    ):
        with pytest.raises(ValueError, match=reason):
            normaliser(points, (2, 12, 1), kind)


# ---- errors, means, curve


def test_errors_by_hand() -> None:
    truth = [[[0, 0], [NAN, NAN]], [[1, 1], [2, 2]]]
    errors = landmark_errors([[[3, 4], [9, 9]], [[1, 1], [2, 4]]], truth, [50, 20])
    assert errors == pytest.approx(np.array([[10, NAN], [0, 10]]), nan_ok=True)
    assert face_errors(errors).tolist() == [10, 5]
    assert nme(errors) == 7.5
    assert nme(errors, divisor=2) == 5  # (10 / 2 + 10 / 2) / 2
    assert face_errors([[NAN, NAN]]) == pytest.approx([NAN], nan_ok=True)
    with pytest.raises(ValueError, match="needs"):
        landmark_errors(np.zeros((2, 3, 2)), np.zeros((2, 4, 2)), np.ones(2))
    with pytest.raises(ValueError, match="needs"):
        landmark_errors(np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), np.ones(3))


def test_percentiles_pass_over_what_is_missing() -> None:
    assert percentiles(np.arange(101.0)).tolist() == [90, 95, 99]
    assert percentiles([NAN, 1, 3], q=[50]).tolist() == [2]
    assert np.isnan(percentiles([NAN])).all()


@pytest.mark.parametrize("faces", [2, 3, 50, 1001])
@pytest.mark.parametrize("threshold", [3.0, 8.0, 30.0])
def test_the_area_is_the_mean_distance_to_the_threshold(faces: int, threshold: float) -> None:
    """Integrated exactly, the curve up to the threshold is the mean of max(0, 1 - error / threshold)."""
    errors = np.random.default_rng(faces).gamma(4, size=faces)
    area, failures = auc_fr(errors, threshold)
    assert area == pytest.approx(100 * np.maximum(0, 1 - errors / threshold).mean(), abs=0.1)
    assert failures == pytest.approx(100 * (errors > threshold).mean())


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.0], (100, 0)),
        ([2.0, 2.0], (75, 0)),
        ([2.0, np.nextafter(2, 3)], (75, 0)),
        ([8.0], (0, 0)),  # at the threshold is not above it
        ([9.0], (0, 100)),
        ([9.0, 10.0], (0, 100)),
        ([1e6, np.nextafter(1e6, 2e6)], (0, 100)),
    ],
)
def test_the_area_at_its_ends(errors: list[float], expected: tuple[float, float]) -> None:
    assert auc_fr(errors, 8) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("errors", "threshold"), [([], 8), ([1, NAN], 8), ([1, math.inf], 8), ([1], 0), ([1], NAN)]
)
def test_no_area(errors: list[float], threshold: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        auc_fr(errors, threshold)


# ---- head pose


def test_head_pose_errors_wrap_and_pass_over_what_is_unknown() -> None:
    predicted = [[179, 1, 0, 9, 9, 9], [-10, 5, 2, 9, 9, 9], [-190, 3, 0, 9, 9, 9]]
    truth = [[-179, 0, 0, 0, 0, 0], [NAN, NAN, NAN, 0, 0, 0], [170, NAN, -4, 0, 0, 0]]
    assert head_pose_errors(predicted, truth) == {
        "yaw": 1,
        "pitch": 1,
        "roll": 2,
        "mean": pytest.approx(4 / 3),
    }


def test_head_poses_that_are_missing() -> None:
    known = np.zeros((3, 6))
    partly = known.copy()
    partly[1, 2] = NAN
    unknown = np.full((3, 6), NAN)
    assert all(math.isnan(value) for value in head_pose_errors(known, unknown).values())
    assert all(math.isnan(value) for value in head_pose_errors(unknown, known).values())
    assert head_pose_errors(known, partly)["roll"] == 0
    with pytest.raises(ValueError, match="face 1 has a true head pose but no predicted one"):
        head_pose_errors(partly, known)
    with pytest.raises(ValueError, match="3 faces cannot be compared with those of 2"):
        head_pose_errors(known, known[:2])


def test_head_poses_of_records() -> None:
    poses = head_poses([face(headpose=(1, 2, 3, 4, 5, 6)), face()])
    assert poses == pytest.approx(np.array([[1, 2, 3, 4, 5, 6], [NAN] * 6]), nan_ok=True)
    assert head_poses([]).shape == (0, 6)


# ---- records


def test_two_faces_by_hand() -> None:
    annotations = [face("a.png"), face("b.png", points=[[0, 0], [200, 0], [NAN, NAN]])]
    predictions = [
        moved(annotations[0], 1, 2, 6),
        moved(face("b.png", points=[[0, 0], [200, 0], [5, 5]]), 4, 20, 0),
    ]
    metrics = evaluate_landmarks(predictions, annotations, threshold=5)
    assert (metrics.faces, metrics.norm, metrics.threshold) == (2, "corners", 5)
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
    predictions = [
        face(path, (7, 12, 1, 2), [[0, 0], [100, 0], [50, 52], [50, 54]]) for path in ("a.png", "b.png")
    ]
    metrics = evaluate_landmarks(predictions, annotations)
    assert metrics.per_landmark == pytest.approx({7: 0, 12: 0, 1: 2, 2: 4})
    assert metrics.per_face == pytest.approx([2 / 3, 4 / 3])


def test_metrics_become_json() -> None:
    truth = face(points=[[0, 0], [100, 0], [NAN, NAN]])
    text = json.dumps(evaluate_landmarks([moved(truth, 1, 1, 0)], [truth]).to_dict(), allow_nan=False)
    assert json.loads(text) == {
        "faces": 1,
        "norm": "corners",
        "threshold": 8,
        "nme": 1,
        "auc": 87.5,
        "fr": 0,
        "nme_p90": 1,
        "nme_p95": 1,
        "nme_p99": 1,
        "per_face": [1],
        "per_landmark": {"7": 1, "12": 1, "1": None},
    }


@pytest.mark.parametrize(
    ("predictions", "annotations", "reason"),
    [
        ([face()], [face(), face()], "there are 1 predictions for 2 annotations"),
        ([], [], "there are no faces"),
        (
            [face("a"), face("b")],
            [face("b"), face("a")],
            "same images in another order: face 0 is 'a' and 'b'",
        ),
        ([face("a"), face("c")], [face("a"), face("b")], "different images: face 1 is 'c' and 'b'"),
        (
            [face(), face("b", ids=(7, 12), points=[[0, 0], [100, 0]])],
            [face(), face("b")],
            "face 1 ('b'): the prediction lacks 1 annotated landmarks (ids 1); it has 2 ids, the annotation",
        ),
        ([face(points=[[0, 0], [9, 0], [NAN, NAN]])], [face()], "lacks 1 annotated landmarks (ids 1)"),
        ([face()], [face(points=np.full((3, 2), NAN))], "face 0 ('a.png'): has no annotated landmark"),
        ([face()], [face(points=[[NAN, NAN], [9, 0], [0, 0]])], "do not define the normaliser 'corners'"),
        ([face()], [face(points=[[9, 0], [9, 0], [0, 0]])], "do not define the normaliser 'corners'"),
        ([face()], [face(ids=(7, 1, 2))], "lacks 1 annotated landmarks (ids 2)"),
    ],
)
def test_what_does_not_match_is_named(
    predictions: list[FaceRecord], annotations: list[FaceRecord], reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        evaluate_landmarks(predictions, annotations)


# ---- the authors' published figures


def published(text: str) -> dict[str, Any]:
    """The authors' report, lines of `name: value` and nested blocks `name { ... }`."""
    blocks: list[dict[str, Any]] = [{}]
    for line in text.splitlines():
        if opened := re.fullmatch(r"\s*(\S+) {", line):
            inner: dict[str, Any] = {}
            blocks[-1][opened[1]] = inner
            blocks.append(inner)
        elif line.strip() == "}":
            blocks.pop()
        else:
            name, value = line.split(": ")
            blocks[-1][name.strip()] = value if value.isidentifier() else json.loads(value)
    return blocks[0]["Metrics"]


def test_the_published_figures_of_300w_private(shared: Path) -> None:
    folder = shared / "evaluation" / "300wprivate"
    report = published((folder / "published_metrics.txt").read_text())
    expected = report["landmarks"]
    predictions, annotations = (
        read_records(folder / f"{name}.json") for name in ("predictions", "annotations")
    )
    subsets = json.loads((shared / "layouts" / "300wprivate_db_info.json").read_text())["test_subsets"]
    assert subsets.keys() == expected["subset"].keys()

    for figures, faces in (
        (expected, range(600)),
        *((expected["subset"][name], subsets[name]) for name in subsets),
    ):
        metrics = evaluate_landmarks(
            [predictions[i] for i in faces], [annotations[i] for i in faces], norm="lnd_bbox", threshold=7
        )
        for name in ("nme", "nme_p90", "nme_p95", "nme_p99", "auc", "fr"):
            assert getattr(metrics, name) == pytest.approx(figures[name], rel=1e-10), name

    ids, predicted, truth = match_records(predictions, annotations)
    errors = landmark_errors(predicted, truth, normaliser(truth, ids, "lnd_bbox"))
    of_landmark = dict(zip(map(str, ids), errors.T, strict=True))
    assert {key: value.mean() for key, value in of_landmark.items()} == pytest.approx(
        expected["nme_per_ldm"], 1e-10
    )
    for q in (90, 95, 99):
        found = {key: percentiles(value, [q]).item() for key, value in of_landmark.items()}
        assert found == pytest.approx(expected[f"npe{q}_per_ldm"], rel=1e-10)

    pose = head_pose_errors(head_poses(predictions), head_poses(annotations))
    assert [pose["yaw"], pose["pitch"], pose["roll"]] == pytest.approx(
        report["headpose"]["mae_ypr"], rel=1e-10
    )
    assert pose["mean"] == pytest.approx(report["headpose"]["mae_mean"], rel=1e-10)


def test_the_order_of_the_faces_does_not_matter(shared: Path) -> None:
    folder = shared / "evaluation" / "300wprivate"
    predictions, annotations = (
        read_records(folder / f"{name}.json") for name in ("predictions", "annotations")
    )
    order = np.random.default_rng(0).permutation(len(annotations))
    one = evaluate_landmarks(predictions, annotations)
    other = evaluate_landmarks([predictions[i] for i in order], [annotations[i] for i in order])
    for name in ("nme", "nme_p90", "nme_p95", "nme_p99", "auc", "fr"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
