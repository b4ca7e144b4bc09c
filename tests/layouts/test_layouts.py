import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyspiga_geo.layouts import (
    EYE_CORNER_IDS,
    IBUG68,
    ROBUST_IDS,
    WFLW98,
    Layout,
    from_mean_face_axes,
)

BUILT_IN = [IBUG68, WFLW98]
FILES = {
    "ibug68": ("300wprivate_db_info.json", "mean_face_3D_68.txt"),
    "wflw98": ("wflw_db_info.json", "mean_face_3D_98.txt"),
}

built_in = pytest.mark.parametrize("layout", BUILT_IN, ids=lambda layout: layout.name)


def parts(**changes: Any) -> dict[str, Any]:
    """A small valid layout as arguments, with some of them changed."""
    valid = {
        "name": "hand",
        "ids": [5, 7, 9, 11],
        "flip": [1, 0, 2, 3],
        "contours": {"top": [0, 1], "side": [1, 2]},
        "shape3d": np.arange(12.0).reshape(4, 3),
    }
    return valid | changes


# Against the authors' figures.


@built_in
def test_ids_mirror_order_and_boundaries_are_the_authors(layout: Layout, shared: Path) -> None:
    info = json.loads((shared / "layouts" / FILES[layout.name][0]).read_text())
    assert list(layout.ids) == info["ldm_ids"]
    assert list(layout.flip) == info["ldm_flip_order"]
    # Row by row and column by column: the contours stand in the authors' order of boundaries.
    np.testing.assert_array_equal(layout.boundary_matrix, info["ldm_edges_matrix"])


@built_in
def test_rigid_shape_is_the_authors_mean_face(layout: Layout, shared: Path) -> None:
    rows = {}
    for line in (shared / "layouts" / FILES[layout.name][1]).read_text().split():
        number, x, y, z = line.split("|")
        rows[int(number)] = (float(z), -float(x), -float(y))
    np.testing.assert_array_equal(layout.shape3d, [rows[number] for number in layout.ids])


@built_in
def test_rigid_shape_stands_in_the_frame_of_the_parity_kit(layout: Layout, shared: Path) -> None:
    kit = np.load(shared / "parity" / f"{layout.name}.npz")
    np.testing.assert_allclose(layout.shape3d, kit["model3d"], rtol=0, atol=1e-12)


# What holds without them.


@pytest.mark.parametrize(
    ("layout", "count", "boundaries"), [(IBUG68, 68, 13), (WFLW98, 98, 15)], ids=["ibug68", "wflw98"]
)
def test_sizes(layout: Layout, count: int, boundaries: int) -> None:
    assert len(layout) == len(layout.ids) == len(layout.flip) == count
    assert layout.shape3d.shape == (count, 3)
    assert layout.boundary_matrix.shape == (count, boundaries + 1)


@built_in
def test_mirroring_twice_changes_nothing(layout: Layout) -> None:
    flip = np.array(layout.flip)
    np.testing.assert_array_equal(flip[flip], np.arange(len(layout)))
    assert (flip != np.arange(len(layout))).any()


@built_in
def test_mirrored_rigid_shape_is_nearly_the_same_shape(layout: Layout) -> None:
    # The second world axis points to the person's right: a mirror negates it. A real mean face is a little crooked.
    mirrored = layout.shape3d[list(layout.flip)] * [1, -1, 1]
    np.testing.assert_allclose(mirrored, layout.shape3d, atol=0.11)
    assert np.abs(mirrored - layout.shape3d).mean() < 0.02


@built_in
def test_mirroring_takes_right_contours_to_left_ones(layout: Layout) -> None:
    rights = [name for name in layout.contours if name.startswith("right_")]
    assert rights
    for name in rights:
        mirrored = {layout.flip[row] for row in layout.contours[name]}
        assert mirrored == set(layout.contours[name.replace("right_", "left_")])


@built_in
def test_axes_of_the_rigid_shape(layout: Layout) -> None:
    out_of_face, right, down = layout.shape3d.T
    nose_tip = layout.contours["nose_bridge"][-1]
    assert out_of_face.argmax() == nose_tip
    np.testing.assert_array_equal(layout.shape3d[nose_tip], 0)
    assert down.argmax() == layout.ids.index(24)  # the chin
    assert right[list(layout.contours["right_eye_upper"])].min() > 0
    assert right[list(layout.contours["left_eye_upper"])].max() < 0


def test_layouts_share_the_numbers_of_the_robust_points() -> None:
    assert list(ROBUST_IDS) == list(range(1, 25))
    small, large = (
        {number: layout.shape3d[layout.ids.index(number)] for number in layout.ids if number in ROBUST_IDS}
        for layout in BUILT_IN
    )
    assert small.keys() <= large.keys()
    assert len(small) == 18
    for number, point in small.items():  # the same number is the same point of the same face
        np.testing.assert_allclose(point, large[number], atol=1e-11)


@built_in
def test_robust_rows_are_those_of_the_shared_ids(layout: Layout) -> None:
    rows = layout.robust_rows
    assert sorted(layout.ids[row] for row in rows) == sorted(set(layout.ids) & set(range(1, 25)))
    assert rows == sorted(rows)


@pytest.mark.parametrize(("layout", "rows"), [(IBUG68, (36, 45)), (WFLW98, (60, 72))], ids=["ibug68", "wflw98"])
def test_outer_eye_corners(layout: Layout, rows: tuple[int, int]) -> None:
    right, left = rows
    assert {layout.ids.index(number) for number in EYE_CORNER_IDS} == {right, left}
    assert layout.contours["right_eye_upper"][0] == right
    assert layout.contours["left_eye_upper"][-1] == left


@built_in
def test_eye_corner_ids_are_right_then_left(layout: Layout) -> None:
    # As their docstring promises; the second world axis points to the person's right.
    right, left = (layout.shape3d[layout.ids.index(number), 1] for number in EYE_CORNER_IDS)
    assert left < 0 < right


def test_only_the_pupils_lie_on_no_contour() -> None:
    assert IBUG68.boundary_matrix[:, -1].sum() == 0
    assert WFLW98.boundary_matrix[:, -1].nonzero()[0].tolist() == [96, 97]
    assert WFLW98.flip[96] == 97


def test_mean_face_axes() -> None:
    np.testing.assert_array_equal(from_mean_face_axes([[1, 2, 3], [4, 5, 6]]), [[3, -1, -2], [6, -4, -5]])


# A layout of one's own.


def test_own_layout() -> None:
    layout = Layout(**parts())
    assert len(layout) == 4
    assert layout.ids == (5, 7, 9, 11)
    assert layout.contours == {"top": (0, 1), "side": (1, 2)}
    np.testing.assert_array_equal(layout.boundary_matrix, [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert layout.robust_rows == [0, 1, 2, 3]


def test_fewer_than_four_robust_ids_use_all_rows() -> None:
    assert Layout(**parts(ids=[1, 2, 3, 100])).robust_rows == [0, 1, 2, 3]
    many = Layout("five", [1, 2, 3, 100, 4], range(5), {})
    assert many.robust_rows == [0, 1, 2, 4]


def test_layout_of_a_name_and_ids() -> None:
    layout = Layout("points", [201, 202, 203])
    assert (layout.flip, layout.contours, layout.shape3d, layout.mean_shape) == (None, {}, None, None)
    assert layout.norm == "lnd_bbox"
    np.testing.assert_array_equal(layout.boundary_matrix, [[1], [1], [1]])


@pytest.mark.parametrize(
    ("ids", "named", "norm"),
    [
        ([5, 7, 9, 12], None, "inter_ocular"),
        ([5, 7, 9, 11], None, "lnd_bbox"),
        ([5, 7, 9, 12], "lnd_bbox", "lnd_bbox"),
        ([5, 7, 9, 11], [11, 5], (11, 5)),
    ],
)
def test_what_errors_are_divided_by(ids: list[int], named: Any, norm: Any) -> None:
    layout = Layout(**parts(ids=ids, normaliser=named))
    assert layout.norm == norm
    assert ("normaliser" in layout.to_dict()) == (named is not None)
    assert Layout(**json.loads(json.dumps(layout.to_dict()))).norm == norm
    replaced = dataclasses.replace(layout, ids=[11, 5, 300, 301])  # a default stays one
    assert replaced.norm == ("lnd_bbox" if named is None else norm)


def test_the_old_name_of_inter_ocular() -> None:
    old, new = (Layout("eyes", ids=(7, 12), normaliser=name) for name in ("corners", "inter_ocular"))
    assert old == new
    assert old.norm == "inter_ocular"


@built_in
def test_metadata_of_built_in_layouts_are_as_ever(layout: Layout) -> None:
    assert list(layout.to_dict()) == ["name", "ids", "flip", "contours", "shape3d"]
    assert layout.norm == "inter_ocular"


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"shape3d": None}, []),
        ({"shape3d": np.eye(4, 3) * [1, 1, 1e-9]}, []),  # flat
        ({"ids": [5, 7, 9], "flip": None, "contours": {}, "shape3d": np.eye(3)}, []),
    ],
)
def test_rows_that_tell_a_pose(changes: dict[str, Any], rows: list[int]) -> None:
    assert Layout(**parts(**{"shape3d": np.eye(4, 3)} | changes)).pose_rows == rows
    assert IBUG68.pose_rows == IBUG68.robust_rows


def test_layouts_are_equal_by_their_parts() -> None:
    layout = Layout(**parts())
    assert layout == Layout(**parts(ids=(5, 7, 9, 11), shape3d=np.arange(12.0).reshape(4, 3).tolist()))
    assert hash(layout) == hash(Layout(**parts()))
    others = [
        {"name": "foot"}, {"ids": [5, 7, 9, 13]}, {"flip": None}, {"contours": {}}, {"shape3d": None},
        {"contours": {"side": [1, 2], "top": [0, 1]}}, {"shape3d": np.ones((4, 3))},
        {"normaliser": (5, 7)}, {"mean_shape": np.zeros((4, 2))},
    ]  # fmt: skip
    assert all(layout != Layout(**parts(**other)) for other in others)
    assert layout != "hand"
    assert Layout(**parts(normaliser="lnd_bbox")) == layout  # which is its default


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": [5, 7, 9, 9]}, "'hand': ids"),
        ({"ids": [], "flip": [], "contours": {}, "shape3d": None}, "'hand': ids"),
        ({"flip": [1, 0, 2]}, "flip"),  # too short
        ({"flip": [0, 0, 2, 3]}, "flip"),  # not a permutation
        ({"flip": [1, 2, 0, 3]}, "flip"),  # a permutation that does not undo itself
        ({"contours": {"dot": [0]}}, "contour 'dot'"),
        ({"contours": {"out": [0, 4]}}, "contour 'out'"),
        ({"contours": {"out": [-1, 0]}}, "contour 'out'"),
        ({"mean_shape": np.zeros((4, 3))}, "mean_shape"),
        ({"normaliser": "inter_ocular"}, "normaliser must be 'inter_ocular' .with ids 7 and 12."),
        ({"normaliser": "height"}, "normaliser .* not 'height'"),
        ({"normaliser": (5, 6)}, "normaliser"),
        ({"normaliser": (5, 5)}, "normaliser"),
        ({"normaliser": (5, 7, 9)}, "normaliser"),
        ({"shape3d": np.zeros((3, 3))}, "shape3d"),
        ({"shape3d": np.zeros((4, 2))}, "shape3d"),
        ({"shape3d": np.full((4, 3), np.nan)}, "shape3d"),
        ({"shape3d": np.full((4, 3), np.inf)}, "shape3d"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(**parts(**changes))


def test_layout_cannot_change() -> None:
    shape3d = np.zeros((4, 3))
    layout = Layout(**parts(shape3d=shape3d))
    shape3d[:] = 7  # the caller's array is not the layout's
    assert (layout.shape3d == 0).all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        layout.name = "foot"
    with pytest.raises(ValueError, match="read-only"):
        layout.shape3d[0, 0] = 1


@pytest.mark.parametrize(
    "layout",
    [
        *BUILT_IN,
        Layout(**parts()),
        Layout(**parts(shape3d=None)),
        Layout("least", [3]),
        Layout(**parts(normaliser=(5, 11), mean_shape=np.random.default_rng(0).normal(size=(4, 2)))),
    ],
)
def test_to_dict_survives_json(layout: Layout) -> None:
    again = Layout(**json.loads(json.dumps(layout.to_dict())))
    assert again == layout
    assert list(again.contours.items()) == list(layout.contours.items())  # in the same order
    np.testing.assert_array_equal(again.shape3d, layout.shape3d)
