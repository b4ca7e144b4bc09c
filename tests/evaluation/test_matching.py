"""Whatever does not match is told apart and named, and nothing is dropped."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pyspiga_geo.data.records import FaceRecord
from pyspiga_geo.evaluation import MismatchError, layout_of, match_records
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout, register_layout, registry

NAN = math.nan
BOXES = [(0, 0, 10, 10), (50, 0, 10, 10), (0, 50, 10, 10)]


def face(
    path: str = "a.png", ids: tuple[int, ...] = (7, 12, 1), points: npt.ArrayLike | None = None, **more: Any
) -> FaceRecord:
    """Eye corners 100 px apart and a third point."""
    landmarks = np.array([[0, 0], [100, 0], [50, 50]] if points is None else points, dtype=np.float64)
    return FaceRecord(path, (0, 0, 100, 100), ids, landmarks, np.ones(len(ids)), **more)


def of_layout(layout: Layout) -> FaceRecord:
    return face(ids=tuple(layout.ids), points=np.random.default_rng(0).uniform(0, 99, (len(layout), 2)))


def in_boxes(*boxes: tuple[float, float, float, float]) -> list[FaceRecord]:
    """Faces of one photo."""
    return [replace(face("group.png"), bbox=box) for box in boxes]


@pytest.mark.parametrize(
    ("predictions", "annotations", "reason"),
    [
        ([], [], "there are no faces"),
        (
            [face("a")],
            [face("a"), face("b"), face("a")],
            "there are 1 predictions for 3 annotations; without prediction: 'a', 'b'",
        ),
        (
            [face("x"), face("a")],
            [face("a")],
            "there are 2 predictions for 1 annotations: face 0 is 'x' and 'a'; without annotation: 'x'",
        ),
        (
            [face(name) for name in "aijklmno"],
            [face(name) for name in "abcdefgh"],
            "predictions and annotations hold different images: face 1 is 'i' and 'b'; "
            "without prediction: 'b', 'c', 'd', 'e', 'f', and 2 more; "
            "without annotation: 'i', 'j', 'k', 'l', 'm', and 2 more",
        ),
        (
            [face("a"), face("b")],
            [face("b"), face("a")],
            "the same images in another order: face 0 is 'a' and 'b'",
        ),
        (
            in_boxes((49, 1, 11, 9), (1, 1, 10, 10), (0, 50, 9, 9)),
            in_boxes(*BOXES),
            "'group.png': its faces are predicted in another order: face 0 lies on face 1, face 1 lies on face 0",
        ),
        (
            [face(), face("b", ids=(7, 12), points=[[0, 0], [100, 0]])],
            [face(), face("b")],
            "face 1 ('b'): the prediction lacks 1 annotated landmarks (ids 1): it has 2 ids, the annotation 3",
        ),
        (
            [face(points=[[0, 0], [9, 0], [NAN, NAN]])],
            [face()],
            "face 0 ('a.png'): the prediction lacks 1 annotated landmarks (ids 1): it has their ids but no positions",
        ),
        (
            [of_layout(WFLW98)],
            [of_layout(IBUG68)],
            "the predictions are of the layout wflw98, the annotations of ibug68",
        ),
        (
            [of_layout(IBUG68)],
            [of_layout(WFLW98)],
            "the predictions are of the layout ibug68, the annotations of wflw98",
        ),
        (  # wflw98 has these ids too, and 138 is another point there
            [of_layout(WFLW98)],
            [face(ids=(7, 12, 138))],
            "the predictions are of the layout wflw98, the annotations of ibug68",
        ),
        ([face()], [face(points=np.full((3, 2), NAN))], "face 0 ('a.png'): has no annotated landmark"),
        ([face()], [face(ids=(7, 1, 2))], "lacks 1 annotated landmarks (ids 2)"),
    ],
)
def test_what_does_not_match_is_named(
    predictions: list[FaceRecord], annotations: list[FaceRecord], reason: str
) -> None:
    with pytest.raises(MismatchError, match=re.escape(reason)):
        match_records(predictions, annotations)


def test_every_face_that_lacks_landmarks_is_named() -> None:
    annotations = [face(str(number)) for number in range(9)]
    predictions = [replace(each, ids=(7, 12, 2)) if number != 4 else each for number, each in enumerate(annotations)]
    with pytest.raises(MismatchError) as raised:
        match_records(predictions, annotations)
    named = str(raised.value).splitlines()
    assert [line[:6] for line in named[:5]] == ["face 0", "face 1", "face 2", "face 3", "face 5"]
    assert named[5:] == ["and 3 more"]


@pytest.mark.parametrize(
    "boxes",
    [
        BOXES,
        [(3, 3, 10, 10), (46, 2, 10, 10), (2, 46, 9, 9)],
        [
            (51, 0, 10, 10),
            (51, 0, 10, 10),
            (0, 50, 10, 10),
        ],  # one wrong box is an error to count, no other order
        [(900, 900, 1, 1)] * 3,
    ],
)
def test_boxes_may_differ_as_long_as_the_order_is_the_same(
    boxes: list[tuple[float, float, float, float]],
) -> None:
    ids, predicted, truth = match_records(in_boxes(*boxes), in_boxes(*BOXES))
    assert (ids, predicted.shape) == ((1, 7, 12), (3, 3, 2))
    np.testing.assert_array_equal(predicted, truth)


@pytest.fixture
def _own_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_LAYOUTS", {"ibug68": IBUG68, "wflw98": WFLW98})


@pytest.mark.usefixtures("_own_layouts")
def test_points_that_all_layouts_share_may_come_from_another_one() -> None:
    ids, predicted, _ = match_records([of_layout(WFLW98)], [face(ids=(7, 12, 24))])
    rows = [WFLW98.ids.index(landmark) for landmark in ids]
    np.testing.assert_array_equal(predicted[0], of_layout(WFLW98).landmarks[rows])
    part = Layout("eyes_of_a_test", (7, 12, 138), (1, 0, 2), {"line": (0, 1)})
    register_layout(part)  # a part of ibug68
    match_records([of_layout(IBUG68)], [face(ids=(7, 12, 138))])


def test_landmarks_come_in_the_order_of_the_layout() -> None:
    record = of_layout(IBUG68)
    order = np.random.default_rng(1).permutation(68)
    turned = replace(record, ids=tuple(np.array(record.ids)[order].tolist()), landmarks=record.landmarks[order])
    ids, predicted, truth = match_records([record], [turned])
    assert ids == tuple(IBUG68.ids)
    np.testing.assert_array_equal(truth[0], record.landmarks)
    np.testing.assert_array_equal(predicted, truth)
    assert match_records([face(ids=(7, 12, 999))], [face(ids=(999, 12, 7))])[0] == (7, 12, 999)


@pytest.mark.usefixtures("_own_layouts")
def test_the_layout_of_landmarks_is_the_smallest_built_in_one_that_has_them() -> None:
    assert layout_of(IBUG68.ids) is IBUG68
    assert layout_of(WFLW98.ids) is WFLW98
    assert layout_of([7]) is IBUG68
    assert layout_of([7, 100_001]) is None
    corners = register_layout(Layout("corners_of_a_test", (7, 100_001), (1, 0), {"line": (0, 1)}))
    assert layout_of([7, 100_001]) is corners


@pytest.mark.usefixtures("_own_layouts")
def test_strangers_do_not_take_the_place_of_built_in_layouts() -> None:
    """Whatever others register, smaller or earlier in the alphabet: it must be meant exactly, or named."""
    stranger = register_layout(Layout("a_stranger", (7, 12, 138, 9999)))
    copy = register_layout(Layout("a_copy", IBUG68.ids))
    assert layout_of(IBUG68.ids) is IBUG68
    assert layout_of([7, 12, 138]) is IBUG68
    assert layout_of([7, 9999]) is None  # a part of the stranger alone
    assert layout_of([9999, 138, 12, 7]) is stranger
    assert layout_of([7, 9999], "a_stranger") is layout_of([7, 9999], stranger) is stranger
    assert layout_of(IBUG68.ids, copy) is copy
    twin = register_layout(Layout("another_stranger", stranger.ids, normaliser=(7, 138)))
    assert layout_of(stranger.ids) is None  # either could be meant
    assert layout_of(stranger.ids, twin) is twin
    with pytest.raises(MismatchError, match=r"the layout a_stranger lacks 2 of the landmarks \(ids 1, 2\)"):
        layout_of([1, 2, 7], "a_stranger")
    with pytest.raises(ValueError, match="unknown layout 'nobody'"):
        layout_of([7], "nobody")


@pytest.mark.usefixtures("_own_layouts")
def test_a_part_of_a_named_layout_is_matched() -> None:
    part = Layout("jaw_of_a_test", tuple(range(108, 100, -1)))  # need not be registered
    truth, found = (replace(of_layout(part), ids=ids) for ids in (part.ids, part.ids[::-1]))
    assert match_records([found], [truth])[0] == tuple(range(101, 109))  # in the order of ibug68, which has them too
    ids, predicted, true = match_records([found], [truth], part)
    assert ids == part.ids
    np.testing.assert_array_equal(predicted[0], true[0, ::-1])
    register_layout(part)
    few = replace(truth, ids=part.ids[:3], landmarks=truth.landmarks[:3])
    match_records([truth], [few])  # of the same numbers: no other layout
