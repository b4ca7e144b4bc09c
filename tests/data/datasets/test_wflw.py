from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyspiga_geo.data import WFLW, DatasetError, split_groups
from pyspiga_geo.layouts import get_layout

LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"
BOX = "10 8 42 40"

pytestmark = pytest.mark.filterwarnings("ignore:.*do not compare with published:UserWarning")


@pytest.fixture
def line(spread: Callable) -> Callable[..., str]:
    """A line of the owner's list."""

    def line(picture: str, flags: str = "0 0 0 0 0 0", box: str = BOX) -> str:
        return " ".join([*(f"{value:.6f}" for value in spread(98).ravel()), box, flags, picture])

    return line


@pytest.fixture
def folder(tmp_path: Path, draw: Callable, line: Callable) -> Path:
    """Two photos, of which one shows two faces, in the owner's layout."""
    draw(tmp_path / "WFLW_images/37--Soccer/37_Soccer_45.jpg")
    draw(tmp_path / "WFLW_images/0--Parade/0_Parade_1.png", (3, 5))
    lines = [
        line("37--Soccer/37_Soccer_45.jpg", "1 0 0 0 0 1"),
        line("0--Parade/0_Parade_1.png", "0 1 1 1 1 0"),
        line("37--Soccer/37_Soccer_45.jpg", "0 0 0 0 0 1", "1 2 11 22"),
    ]
    for split in ("train", "test"):
        path = tmp_path / LIST.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines if split == "test" else lines[:1]) + "\n")
    return tmp_path


def test_faces_are_read_as_the_owner_describes_them(folder: Path, spread: Callable) -> None:
    faces = WFLW(folder, "test")
    assert len(faces) == 3
    assert len(WFLW(folder, "train")) == 1
    record = faces.records[1]
    assert record.imgpath == "WFLW_images/0--Parade/0_Parade_1.png"
    assert record.ids == get_layout("wflw98").ids
    assert record.ids[60] == 7  # the owner's row 60 is the outer corner of the right eye
    assert record.ids[72] == 12
    np.testing.assert_allclose(record.landmarks, spread(98), atol=1e-12)
    assert record.visible.tolist() == [1] * 98
    assert record.bbox == (10, 8, 32, 32)
    assert faces.records[2].bbox == (1, 2, 10, 20)


def test_items_are_graphs_of_the_picture(folder: Path, spread: Callable) -> None:
    face = WFLW(folder, "test")[1]
    assert face.image.shape == (3, 48, 64)
    assert face.image[:, 5, 3].tolist() == [1, 1, 1]
    assert face.image.sum() == 3
    np.testing.assert_allclose(face.pos.numpy(), spread(98), atol=1e-5)
    assert face.mask.all()


def test_attributes_are_subsets(folder: Path) -> None:
    assert WFLW(folder, "test").subsets == {
        "pose": [0],
        "expression": [1],
        "illumination": [1],
        "makeup": [1],
        "occlusion": [1],
        "blur": [0, 2],
    }


def test_a_photo_is_never_split(folder: Path) -> None:
    records = WFLW(folder, "test").records
    assert [record.group for record in records] == [
        "37--Soccer/37_Soccer_45.jpg",
        "0--Parade/0_Parade_1.png",
        "37--Soccer/37_Soccer_45.jpg",
    ]
    for seed in range(5):
        training, validation = split_groups(records, 0.3, seed)
        assert sorted([len(training), len(validation)]) == [1, 2]


def test_another_layout_is_refused(folder: Path) -> None:
    # Id 101 is the second point of the jaw in wflw98 and the first in ibug68.
    assert WFLW(folder, "test", get_layout("wflw98")).layout is get_layout("wflw98")
    with pytest.raises(ValueError, match="WFLW has the landmarks 'wflw98', not 'ibug68'"):
        WFLW(folder, "test", get_layout("ibug68"))


@pytest.mark.parametrize("gone", [LIST.format("test"), "WFLW_images"])
def test_missing_files_are_named_with_where_to_get_them(folder: Path, gone: str) -> None:
    (folder / gone).rename(folder / "elsewhere")
    with pytest.raises(DatasetError) as error:
        WFLW(folder, "test")
    first, *rest = str(error.value).splitlines()
    assert first == f"{folder}: lacks {gone}"
    assert LIST.format("train") in "\n".join(rest)
    assert "WFLW_images/" in "\n".join(rest)
    assert rest[-1] == "Get it from https://wywu.github.io/projects/LAB/WFLW.html"


def test_bad_lines_are_all_named(folder: Path, line: Callable) -> None:
    path = folder / LIST.format("test")
    good = line("37--Soccer/37_Soccer_45.jpg")
    bad = {
        "206 fields where 207 are expected": good.split(" ", 1)[1],
        "could not convert string to float: 'abc'": good.replace(BOX, "10 abc 42 40"),
        "field 3 is not finite": good.replace("7.500000", "nan", 1),
        "point 2 lies beyond 10,000,000 pixels": good.replace("7.500000", "2e7", 1),
        "an attribute is neither 0 nor 1": line("37--Soccer/37_Soccer_45.jpg", "0 0 2 0 0 0"),
        "the box must have a size above zero": line("37--Soccer/37_Soccer_45.jpg", box="10 8 10 40"),
        "no such file": line("1--Handshaking/gone.jpg"),
    }
    path.write_text("\n".join([good, *bad.values(), good]) + "\n")
    with pytest.raises(DatasetError) as error:
        WFLW(folder, "test")
    *lines, summary = str(error.value).splitlines()
    assert len(lines) == len(bad)
    for number, (reason, said) in enumerate(zip(bad, lines, strict=True), start=2):
        assert said.startswith(f"{path}: line {number}: ")
        assert reason in said
    assert summary == "7 bad of 9 faces; skip_bad leaves them out"


def test_an_unreadable_list_is_one_error(folder: Path) -> None:
    (folder / LIST.format("test")).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"list_98pt_rect_attr_test\.txt: cannot be read"):
        WFLW(folder, "test")
