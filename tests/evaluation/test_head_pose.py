import json
import math

import numpy as np
import pytest

from pyspiga_geo.data.records import FaceRecord
from pyspiga_geo.evaluation import (
    head_pose_accuracy,
    head_pose_class_accuracy,
    head_pose_errors,
    head_pose_metrics,
    head_poses,
    yaw_bins,
)

NAN = math.nan


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


def face(headpose: tuple[float, float, float, float, float, float] | None) -> FaceRecord:
    return FaceRecord("a.png", (0, 0, 9, 9), (7,), np.zeros((1, 2)), np.ones(1), headpose)


def test_head_poses_of_records() -> None:
    poses = head_poses([face((1, 2, 3, 4, 5, 6)), face(None)])
    assert poses == pytest.approx(np.array([[1, 2, 3, 4, 5, 6], [NAN] * 6]), nan_ok=True)
    assert head_poses([]).shape == (0, 6)


def test_accuracy_counts_the_limit_itself_and_passes_over_what_is_unknown() -> None:
    predicted = [[5, 178, 0], [-6, 0, 2], [0, 0, 9]]
    truth = [[0, -179, 0], [0, 0, 0], [0, NAN, 0]]
    accuracy = head_pose_accuracy(predicted, truth, limits=(2.5, 5, 10))
    assert accuracy["yaw"] == {2.5: pytest.approx(100 / 3), 5: pytest.approx(200 / 3), 10: 100}
    assert accuracy["pitch"] == {2.5: 50, 5: 100, 10: 100}  # 3 degrees over the back, and none
    nothing = head_pose_accuracy(np.full((2, 3), NAN), np.zeros((2, 3)))
    assert all(math.isnan(share) for shares in nothing.values() for share in shares.values())


def test_classes_are_centred_on_multiples_of_their_width() -> None:
    predicted = [[7.4, 7.6, 0], [-7.6, 37.4, 176]]
    truth = [[-7.4, 7.4, 0], [22.6, 7.6, -176]]
    right, near = head_pose_class_accuracy(predicted, truth, width=15)
    assert right == {"yaw": 50, "pitch": 0, "roll": 100}  # -180 and 180 are one class
    assert near == {"yaw": 50, "pitch": 100, "roll": 100}


def test_ranges_of_yaw() -> None:
    bins = yaw_bins([0, -15, 29.9, 44, -45, 180, NAN])
    assert {name: np.flatnonzero(inside).tolist() for name, inside in bins.items()} == {
        "0-15": [0],
        "15-30": [1, 2],
        "30-45": [3],
        "45-180": [4, 5],
    }


def test_figures_become_json() -> None:
    metrics = head_pose_metrics([[8, 0, 0, 1, 1, 1], [3, 1, 1, 1, 1, 1]], [[7, 0, NAN, 1, 1, 1], [NAN] * 6])
    figures = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert figures["pose_faces"] == 1
    assert figures["pose_mae"] == {"yaw": 1, "pitch": 0, "roll": None, "mean": None}
    assert figures["pose_accuracy"]["yaw"] == {"2.5": 100, "5": 100, "10": 100, "15": 100, "30": 100}
    assert figures["pose_class_accuracy"] == {"yaw": 0, "pitch": 100, "roll": None}
    assert figures["pose_adjacent_accuracy"]["yaw"] == 100
