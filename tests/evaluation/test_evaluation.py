import json
from dataclasses import replace

import numpy as np
import pytest

from pyspiga_geo.data.records import FaceRecord
from pyspiga_geo.evaluation import compare_errors, compare_evaluations, evaluate_faces
from pyspiga_geo.evaluation.tables import comparison_table, contour_table, parts_table, pose_table, summary
from pyspiga_geo.layouts import IBUG68, Layout

SUBSETS = {"first": [0, 1, 2], "last": [5, 3, 4]}


def faces(noise: float, seed: int = 0) -> list[FaceRecord]:
    """Six heads, five said to be turned; the landmarks of all are frontal, and the truth's the same for every seed."""
    rng = np.random.default_rng(seed)
    shape = 50 + 40 * np.stack([-IBUG68.shape3d[:, 1], IBUG68.shape3d[:, 2]], axis=1)
    return [
        FaceRecord(
            f"{number}.png",
            (0, 0, 100, 100),
            tuple(IBUG68.ids),
            shape + noise * rng.normal(size=shape.shape),
            np.ones(68),
            None if number == 5 else (20.0 * number - 20 + noise, noise, -noise, 0.0, 0.0, 3.0),
        )
        for number in range(6)
    ]


def test_subsets_and_ranges_of_yaw_are_evaluations_of_their_faces() -> None:
    predictions, annotations = faces(1), faces(0)
    whole = evaluate_faces(predictions, annotations, subsets=SUBSETS)
    for name, numbers in SUBSETS.items():
        alone = evaluate_faces([predictions[i] for i in numbers], [annotations[i] for i in numbers])
        assert whole.subsets[name].landmarks.to_dict() == alone.landmarks.to_dict()
        assert whole.subsets[name].nme_interval == alone.nme_interval
        assert whole.subsets[name].pose.mae == alone.pose.mae
    assert {name: part.landmarks.faces for name, part in whole.by_yaw.items()} == {
        "0-15": 2,
        "15-30": 2,
        "30-45": 1,
        "45-180": 1,
    }
    assert whole.by_yaw["15-30"].landmarks.per_face.tolist() == whole.landmarks.per_face[[0, 2]].tolist()
    assert whole.by_yaw["0-15"].landmarks.per_face.tolist() == whole.landmarks.per_face[[1, 5]].tolist()
    assert whole.computed_yaws == 1  # face 5, whose annotation says no head pose
    assert whole.pose.faces == 5
    assert whole.pose.mae == pytest.approx({"yaw": 1, "pitch": 1, "roll": 1, "mean": 1})


def test_everything_becomes_json() -> None:
    annotations = [replace(face, ids=(*face.ids[:-1], 9)) for face in faces(0)]
    predictions = [
        replace(
            face,
            ids=(*face.ids, 9),
            landmarks=np.vstack([face.landmarks, face.landmarks[-1]]),
            visible=np.ones(69),
        )
        for face in faces(1)
    ]
    figures = evaluate_faces(predictions, annotations, subsets=SUBSETS).to_dict()
    figures = json.loads(json.dumps(figures, allow_nan=False))
    assert figures["ignored_ids"] == [IBUG68.ids[-1]]
    assert figures["nme_interval"][0] < figures["nme"] < figures["nme_interval"][1]
    assert figures["pose_mae"] == pytest.approx({"yaw": 1, "pitch": 1, "roll": 1, "mean": 1})
    assert figures["subsets"].keys() == SUBSETS.keys()
    assert "per_face" not in figures["subsets"]["last"]
    assert figures["by_yaw"]["0-15"]["nme_interval"] == [None, None]


def test_the_order_of_the_faces_does_not_matter() -> None:
    predictions, annotations = faces(1), faces(0)
    order = [3, 0, 5, 1, 4, 2]
    moved = {name: [order.index(number) for number in numbers] for name, numbers in SUBSETS.items()}
    one = evaluate_faces(predictions, annotations, subsets=SUBSETS).to_dict()
    other = evaluate_faces([predictions[i] for i in order], [annotations[i] for i in order], subsets=moved).to_dict()
    errors = one.pop("per_face")
    assert [errors[i] for i in order] == other.pop("per_face")
    assert one == other


def test_methods_are_compared_in_every_part() -> None:
    annotations = faces(0)
    one, other = (evaluate_faces(faces(1, seed), annotations, subsets=SUBSETS) for seed in (1, 2))
    compared = compare_evaluations(one, other)
    assert list(compared) == ["all", "first", "last"]
    assert compared["all"] == compare_errors(one.landmarks.per_face, other.landmarks.per_face)
    assert compared["all"].difference == pytest.approx(one.landmarks.nme - other.landmarks.nme)
    assert compared["last"].faces == 3


def test_tables_say_the_figures() -> None:
    annotations = faces(0)
    methods = {
        name: evaluate_faces(faces(noise, 1), annotations, threshold=7, subsets=SUBSETS)
        for name, noise in (("good", 1), ("bad", 2))
    }
    good, bad = methods.values()
    said = summary(good)
    assert said.startswith("6 faces, errors in percent of the distance of the outer eye corners\n")
    assert f"NME {good.landmarks.nme:.4f}   P90 {good.landmarks.nme_p90:.4f}" in said
    assert f"AUC_7 {good.landmarks.auc:.3f}   FR_7 {good.landmarks.fr:.4f}" in said
    assert "yaw 1.000, pitch 1.000, roll 1.000, mean 1.000\n1 faces have no true head pose" in said
    assert "the yaw of 1 faces is that of their true landmarks" in said
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in parts_table(good).splitlines()[2:]]
    assert [row[0] for row in rows] == ["all", "first", "last", *(f"yaw {name}" for name in good.by_yaw)]
    assert [row[2] for row in rows[:3]] == [
        f"{part.landmarks.nme:.4f}" for part in (good, good.subsets["first"], good.subsets["last"])
    ]
    side_by_side = comparison_table(methods)
    assert f"{bad.landmarks.nme - good.landmarks.nme:+.4f}" in side_by_side
    assert "bad - good" in side_by_side
    assert f"{bad.landmarks.per_contour['jaw']:.3f}" in contour_table(methods).splitlines()[2]
    assert "100.00" in pose_table(good)
    lines = [line for text in (parts_table(good), contour_table(methods)) for line in text.splitlines()]
    assert all(line.startswith("|") and line.endswith("|") for line in lines)


def own_faces(noise: float) -> list[FaceRecord]:
    """Two faces of three landmarks 30, 40 and 50 pixels apart."""
    points = np.array([[0.0, 0], [30, 0], [30, 40]])
    ids = (201, 202, 203)
    return [FaceRecord(f"{number}.png", (0, 0, 99, 99), ids, points + noise, np.ones(3)) for number in range(2)]


def test_a_layout_of_ones_own_measures_with_its_own_length() -> None:
    predictions, annotations = own_faces(3), own_faces(0)
    layout = Layout("own", (203, 202, 201), contours={"side": (2, 1)}, normaliser=(201, 203))
    error = 300 * np.sqrt(2)
    whole = evaluate_faces(predictions, annotations, layout=layout, subsets={"first": [0]})
    assert whole.landmarks.nme == pytest.approx(error / 50)
    assert whole.landmarks.per_contour == pytest.approx({"side": error / 50})
    assert list(whole.landmarks.per_landmark) == [203, 202, 201]
    assert whole.subsets["first"].landmarks.norm == (201, 203)
    assert json.loads(json.dumps(whole.to_dict()))["norm"] == [201, 203]
    assert summary(whole).startswith("2 faces, errors in percent of the distance of landmarks 201 and 203\n")
    assert np.isnan(whole.pose.mae["mean"])
    unknown = evaluate_faces(predictions, annotations)
    assert (unknown.landmarks.norm, unknown.landmarks.per_contour) == ("lnd_bbox", {})
    assert unknown.landmarks.nme == pytest.approx(error / np.sqrt(30 * 40))
    assert evaluate_faces(predictions, annotations, norm=(201, 202)).landmarks.nme == pytest.approx(error / 30)
