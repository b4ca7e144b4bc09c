import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, RecordError, landmarks_for, read_records, write_records


def entry(**changes: object) -> dict[str, object]:
    """A valid record as in the file, with some entries changed; ``...`` removes one."""
    valid = {
        "imgpath": "images/a.png",
        "bbox": [1.0, 2.0, 30.0, 40.0],
        "headpose": [10.0, -5.0, 2.5, 0.0, 0.1, 3.0],
        "ids": [7, 12, 101],
        "landmarks": [[5.0, 6.0], [25, 6.5], [1.0, 20.0]],
        "visible": [1.0, 0.0, 1.0],
        "group": "a",
    }
    return {key: value for key, value in (valid | changes).items() if value is not ...}


def read_entries(folder: Path, *entries: object) -> list[FaceRecord]:
    path = folder / "faces.json"
    path.write_text(json.dumps(entries))
    return read_records(path)


def test_a_record_is_read_as_it_stands(tmp_path: Path) -> None:
    (face,) = read_entries(tmp_path, entry())
    assert face.imgpath == "images/a.png"
    assert face.bbox == (1, 2, 30, 40)
    assert face.headpose == (10, -5, 2.5, 0, 0.1, 3)
    assert face.ids == (7, 12, 101)
    assert face.landmarks.dtype == np.float64
    assert face.landmarks.tolist() == [[5, 6], [25, 6.5], [1, 20]]
    assert face.visible.tolist() == [1, 0, 1]
    assert face.group == "a"


@pytest.mark.parametrize("absent", [..., None])
def test_what_a_record_may_lack(tmp_path: Path, absent: object) -> None:
    (face,) = read_entries(tmp_path, entry(visible=absent, headpose=absent, group=absent, bbox=absent))
    assert face.visible.tolist() == [1, 1, 1]
    assert face.headpose is None
    assert face.group is None
    assert face.bbox == (1, 6, 24, 14)  # the tight box of the landmarks


@pytest.mark.parametrize("missing", [None, [None, None], [math.nan, math.nan]])
def test_missing_landmarks_are_nan(tmp_path: Path, missing: object) -> None:
    (face,) = read_entries(tmp_path, entry(landmarks=[[5.0, 6.0], missing, [1.0, 20.0]], bbox=None))
    assert np.isnan(face.landmarks).tolist() == [[False, False], [True, True], [False, False]]
    assert face.bbox == (1, 6, 4, 14)


def test_a_pose_may_be_known_in_part(tmp_path: Path) -> None:
    (face,) = read_entries(tmp_path, entry(headpose=[1, 2, 3, None, None, None]))
    assert face.headpose is not None
    assert face.headpose[:3] == (1, 2, 3)
    assert all(math.isnan(value) for value in face.headpose[3:])


def test_a_file_may_hold_no_faces(tmp_path: Path) -> None:
    assert read_entries(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"landmarks": ...}, "lacks landmarks"),
        ({"ids": ..., "imgpath": ...}, "lacks ids, imgpath"),
        ({"visable": [1, 1, 1]}, "has unknown keys: 'visable'"),
        ({"landmarks": [[5, 6], [25, 2e7], [1, 20]]}, "landmarks must lie within 10,000,000 pixels"),
        ({"bbox": [1, 2, 2e7, 4]}, "bbox must lie within 10,000,000 pixels"),
        ({"imgpath": ""}, "imgpath"),
        ({"imgpath": 3}, "imgpath"),
        ({"group": 3}, "group"),
        ({"ids": []}, "ids"),
        ({"ids": "abc"}, "ids"),
        ({"ids": [7, 12.0, 101]}, "ids"),
        ({"ids": [7, True, 101]}, "ids"),
        ({"ids": [7, 12, 7]}, "id 7 occurs more than once"),
        ({"ids": [7, 12]}, "landmarks must be a list as long as ids (2)"),
        ({"landmarks": None}, "landmarks"),
        ({"landmarks": [[5, 6], [25, 6], 3]}, "landmark 2 must be a list of 2 numbers"),
        ({"landmarks": [[5, 6], [25], [1, 20]]}, "landmark 1 must be a list of 2 numbers"),
        ({"landmarks": [[5, 6], [25, None], [1, 20]]}, "landmark 1 has only one"),
        ({"landmarks": [[5, math.inf], [25, 6], [1, 20]]}, "landmark 0 must hold finite numbers"),
        ({"landmarks": [[5, 10**400], [25, 6], [1, 20]]}, "landmark 0 must hold finite numbers"),
        ({"landmarks": [[5, "6"], [25, 6], [1, 20]]}, "landmark 0 must hold finite numbers"),
        ({"visible": [1, 1]}, "visible must be a list of 3 numbers"),
        ({"visible": [1, 1, 2]}, "visible must hold numbers from 0 to 1"),
        ({"visible": [1, 1, None]}, "visible must hold numbers from 0 to 1"),
        ({"headpose": [1, 2, 3]}, "headpose must be a list of 6 numbers"),
        ({"headpose": [1, 2, 3, 4, 5, math.inf]}, "headpose must hold finite numbers"),
        ({"bbox": [1, 2, 3]}, "bbox must be a list of 4 numbers"),
        ({"bbox": [1, 2, math.nan, 4]}, "bbox must have"),
        ({"bbox": [None, 2, 3, 4]}, "bbox must have"),
        ({"bbox": [1, 2, 3, math.inf]}, "bbox must hold finite numbers"),
        ({"bbox": [1, 2, 0, 4]}, "bbox must have"),
        ({"bbox": None, "landmarks": [None, None, None]}, "bbox must have"),
        ({"bbox": None, "landmarks": [[5, 6], None, None]}, "bbox must have"),
    ],
)
def test_a_wrong_record_is_named_with_its_reason(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(RecordError) as error:
        read_entries(tmp_path, entry(), entry(**changes))
    assert f"faces.json: record 1: {reason}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a JSON file"),
        (b"[{", "not a JSON file"),
        (b"\xff\xd8\xff\xe0", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (b'{"imgpath": "a.png"}', "must be a list of records, not dict"),
        (b"[[1, 2]]", "record 0: must be an object, not list"),
    ],
)
def test_a_wrong_file_is_named_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "faces.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=rf"faces\.json: {reason}"):
        read_records(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none\.json: cannot be read: No such file"):
        read_records(tmp_path / "none.json")
    with pytest.raises(RecordError, match="cannot be read"):
        read_records(tmp_path)


numbers = st.floats(-1e7, 1e7)


@settings(max_examples=40)
@given(
    points=st.lists(st.one_of(st.tuples(numbers, numbers), st.just((math.nan, math.nan))), min_size=1, max_size=4),
    headpose=st.none() | st.tuples(*[numbers | st.just(math.nan)] * 6),
    group=st.none() | st.text(),
    imgpath=st.text(min_size=1),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    points: list[tuple[float, float]],
    headpose: tuple[float, float, float, float, float, float] | None,
    group: str | None,
    imgpath: str,
) -> None:
    path = tmp_path_factory.mktemp("records") / "faces.json"
    ids = tuple(range(len(points)))
    face = FaceRecord(imgpath, (0, 0, 1, 1), ids, np.array(points), np.ones(len(ids)), headpose, group)
    write_records(path, [face, face])
    for back in read_records(path):
        assert (back.imgpath, back.bbox, back.ids, back.group) == (imgpath, face.bbox, ids, group)
        np.testing.assert_array_equal(back.landmarks, face.landmarks)
        np.testing.assert_array_equal(back.visible, face.visible)
        assert (back.headpose is None) == (headpose is None)
        np.testing.assert_array_equal(np.array(back.headpose, float), np.array(headpose, float))


def test_numbers_of_arrays_are_written_as_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "new" / "faces.json"
    bbox = tuple(np.array([0, 0, 5, 5], dtype=np.float32))
    landmarks = np.array([[1.5, 2], [np.nan, np.nan]], dtype=np.float32)
    write_records(path, [FaceRecord("a.png", bbox, tuple(np.arange(2)), landmarks, np.array([True, False]))])
    assert "NaN" not in path.read_text()
    assert json.loads(path.read_text()) == [
        {
            "imgpath": "a.png",
            "bbox": [0, 0, 5, 5],
            "headpose": None,
            "ids": [0, 1],
            "landmarks": [[1.5, 2], [None, None]],
            "visible": [1, 0],
        }
    ]


@pytest.mark.parametrize(
    ("ids", "landmarks", "reason"),
    [
        ((7, 12, 1), np.zeros((2, 2)), "landmarks must be a list as long as ids"),
        ((7, 7), np.zeros((2, 2)), "id 7 occurs more than once"),
        ((7, 12), np.array([[0, np.inf], [0, 0]]), "landmark 0 must hold finite numbers"),
    ],
)
def test_a_wrong_record_is_not_written(
    tmp_path: Path, ids: tuple[int, ...], landmarks: np.ndarray, reason: str
) -> None:
    good = FaceRecord("a.png", (0, 0, 1, 1), (7, 12), np.zeros((2, 2)), np.ones(2))
    with pytest.raises(RecordError, match=rf"faces\.json: record 1: {reason}"):
        write_records(tmp_path / "faces.json", [good, FaceRecord("b.png", (0, 0, 1, 1), ids, landmarks, np.ones(2))])
    assert list(tmp_path.iterdir()) == []


def test_landmarks_come_in_the_order_asked_for() -> None:
    face = FaceRecord("a.png", (0, 0, 9, 9), (7, 12, 101), np.array([[1.0, 2], [3, 4], [5, 6]]), np.ones(3))
    ordered = landmarks_for(face, [101, 1, 7])
    np.testing.assert_array_equal(ordered, [[5, 6], [np.nan, np.nan], [1, 2]])
    assert landmarks_for(face, []).shape == (0, 2)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "weights.bin"
    for content in (b"old", b"new"):
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.suffix == ".bin"
            temporary.write_bytes(content)
    assert [path.name for path in target.parent.iterdir()] == ["weights.bin"]
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_nothing_half_written_stays(tmp_path: Path, interruption: type[BaseException]) -> None:
    target = tmp_path / "faces.json"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["faces.json"]
    assert target.read_text() == "old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "faces.json"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["[1]", '{"imgpath": "a.png"}', '{"imgpath": "a.png", "faces": {}}', "[" * 9999])
def test_lines_of_another_kind_are_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "faces.jsonl"
    path.write_text('{"program": "x"}\n{"imgpath": "b.png", "faces": []}\n' + line + "\n")
    with pytest.raises(RecordError, match=r"faces\.jsonl: not a JSON file"):
        read_records(path)
