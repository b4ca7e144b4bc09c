import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyspiga_geo import Layout
from pyspiga_geo.data import DatasetError, PtsFolder, read_pts
from pyspiga_geo.layouts import get_layout

TRIANGLE = Layout("triangle", ids=(1, 2, 3), flip=(1, 0, 2), contours={"all": (0, 1, 2)})
POINTS = np.array([[4.0, 6.5], [21, 6], [12, 31.25]])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_points_are_read_as_they_stand(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "a.pts"
    text = "version: 1\nn_points:  2\n{\n-1.5 2e1\n\n 3 4 \n}\n".replace("\n", newline)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_pts(path).tolist() == [[-1.5, 20], [3, 4]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not a whole .pts file"),
        ("version: 1\nn_points: 0\n{\n}\n", "holds no points"),
        ("version: 1\nn_points: 2\n{\n1 2\n3 4\n", "not a whole .pts file"),
        ("version: 1\nn_points: 3\n{\n1 2\n3 4\n}\n", "n_points is 3, but there are 2 points"),
        ("version: 1\nn_points: 2\n{\n1 2\n3\n}\n", "line 5: '3' is not a point x y"),
        ("version: 1\nn_points: 2\n{\n1 2\nx 4\n}\n", "line 5: 'x 4' is not a point x y"),
        ("version: 1\nn_points: 2\n{\n1 2\ninf 4\n}\n", "line 5: 'inf 4' is not finite"),
    ],
)
def test_damaged_files_are_refused_with_the_line(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "a.pts").write_text(content)
    with pytest.raises(ValueError, match=re.escape(reason)):
        read_pts(tmp_path / "a.pts")


@pytest.fixture
def folder(tmp_path: Path, draw: Callable, write_pts: Callable) -> Path:
    for name in ("b.png", "deep/er/a.JPG", "c.c.jpeg"):
        draw(tmp_path / name)
        write_pts((tmp_path / name).with_suffix(".pts"), POINTS)
    return tmp_path


def test_files_of_all_depths_are_found_and_count_from_one(folder: Path) -> None:
    faces = PtsFolder(folder, "all", TRIANGLE)
    assert [record.imgpath for record in faces.records] == ["b.png", "c.c.jpeg", "deep/er/a.JPG"]
    for record in faces.records:
        assert record.ids == TRIANGLE.ids
        assert record.landmarks.tolist() == (POINTS - 1).tolist()
        assert record.visible.tolist() == [1, 1, 1]
        assert record.bbox == (3, 5, 17, 25.25)
        assert record.group is None
    assert faces.subsets == {}
    assert faces[2].pos.tolist() == (POINTS - 1).tolist()


def test_the_number_of_points_is_that_of_the_layout(folder: Path) -> None:
    with pytest.raises(DatasetError) as error:
        PtsFolder(folder, "all", get_layout("wflw98"))
    assert f"{folder / 'b.pts'}: 3 points where 98 are expected" in str(error.value)
    assert "3 bad of 3 faces" in str(error.value)


def test_a_file_without_its_picture_is_bad(folder: Path) -> None:
    (folder / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"b\.pts: has no picture\n1 bad of 3 faces"):
        PtsFolder(folder, "all", TRIANGLE)


def test_one_point_makes_no_face(folder: Path, write_pts: Callable) -> None:
    write_pts(folder / "b.pts", np.array([[5.0, 5], [5, 9], [5, 7]]))
    with pytest.raises(DatasetError, match=r"b\.pts: the box must have a size above zero"):
        PtsFolder(folder, "all", TRIANGLE)


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_there(tmp_path: Path, exists: bool) -> None:
    root = tmp_path if exists else tmp_path / "gone"
    with pytest.raises(DatasetError) as error:
        PtsFolder(root, "all", TRIANGLE)
    said = str(error.value)
    assert said.startswith(f"{root}: no usable face\n" if exists else f"{root}: no such folder\n")
    assert "NAME.pts" in said
