from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyspiga_geo.data import DatasetError, ThreeHundredW, ThreeHundredWPrivate
from pyspiga_geo.layouts import get_layout

pytestmark = pytest.mark.filterwarnings("ignore:.*do not compare with published:UserWarning")

PUBLIC = (
    "afw/1051618982_1.jpg",
    "afw/1051618982_2.jpg",
    "helen/trainset/100040721_1.jpg",
    "helen/testset/100040721_2.jpg",
    "helen/testset/2960256451_1.jpg",
    "lfpw/trainset/image_0001.png",
    "lfpw/testset/image_0001.png",
    "ibug/image_092 _01.jpg",
    "ibug/image_003_1.jpg",
)


@pytest.fixture
def folder(tmp_path: Path, draw: Callable, spread: Callable, write_pts: Callable) -> Path:
    """Some faces in the owner's layout. The first landmark of each is the white pixel (9, 7), counted from 0."""
    points = spread(68)
    points[0] = 9, 7
    for name in (*PUBLIC, "01_Indoor/indoor_002.png", "02_Outdoor/outdoor_001.png"):
        draw(tmp_path / name, (9, 7))
        write_pts((tmp_path / name).with_suffix(".pts"), points + 1)
    return tmp_path


@pytest.mark.parametrize(
    ("split", "names", "subsets"),
    [
        (
            "train",
            [PUBLIC[0], PUBLIC[1], PUBLIC[2], PUBLIC[5]],
            {"afw": [0, 1], "helen": [2], "lfpw": [3]},
        ),
        (
            "full",
            [PUBLIC[3], PUBLIC[4], PUBLIC[6], PUBLIC[8], PUBLIC[7]],
            {"common": [0, 1, 2], "helen": [0, 1], "lfpw": [2], "challenging": [3, 4]},
        ),
        ("common", [PUBLIC[3], PUBLIC[4], PUBLIC[6]], {"common": [0, 1, 2], "helen": [0, 1], "lfpw": [2]}),
        ("challenging", [PUBLIC[8], PUBLIC[7]], {"challenging": [0, 1]}),
    ],
)
def test_splits_and_subsets(folder: Path, split: str, names: list[str], subsets: dict[str, list[int]]) -> None:
    faces = ThreeHundredW(folder, split)
    assert sorted(record.imgpath for record in faces.records) == sorted(names)
    assert [record.imgpath.split("/")[0] for record in faces.records] == [n.split("/")[0] for n in names]
    assert faces.subsets == subsets


@pytest.mark.parametrize(
    ("split", "subsets"),
    [("full", {"indoor": [0], "outdoor": [1]}), ("indoor", {"indoor": [0]}), ("outdoor", {"outdoor": [0]})],
)
def test_private_splits_and_subsets(folder: Path, split: str, subsets: dict[str, list[int]]) -> None:
    faces = ThreeHundredWPrivate(folder, split)
    assert faces.subsets == subsets
    assert all(name in record.imgpath for name, rows in subsets.items() for record in [faces.records[rows[0]]])


def test_points_lie_on_the_pixels_that_they_name(folder: Path) -> None:
    face = ThreeHundredW(folder, "common")[0]
    x, y = face.pos[0].int().tolist()
    assert (x, y) == (9, 7)
    brightest = int(face.image.sum(dim=0).argmax())  # JPEG blurs the white pixel, but not its place
    assert divmod(brightest, 64) == (7, 9)


def test_a_record_holds_what_the_owner_says(folder: Path, spread: Callable) -> None:
    record = ThreeHundredWPrivate(folder, "indoor").records[0]
    assert record.imgpath == "01_Indoor/indoor_002.png"
    assert record.ids == get_layout("ibug68").ids
    assert (record.ids[36], record.ids[45]) == (7, 12)  # outer eye corners
    np.testing.assert_allclose(record.landmarks[1:], spread(68)[1:], atol=1e-6)
    low, high = record.landmarks.min(axis=0), record.landmarks.max(axis=0)
    np.testing.assert_allclose(record.bbox, [*low, *(high - low)])
    assert record.visible.tolist() == [1] * 68


def test_faces_of_a_photo_are_one_group(folder: Path) -> None:
    groups = {
        record.imgpath: record.group for split in ("train", "full") for record in ThreeHundredW(folder, split).records
    }
    assert groups == {
        PUBLIC[0]: "afw/1051618982",
        PUBLIC[1]: "afw/1051618982",
        PUBLIC[2]: "helen/100040721",
        PUBLIC[3]: "helen/100040721",
        PUBLIC[4]: "helen/2960256451",
        PUBLIC[5]: "lfpw/trainset/image_0001",
        PUBLIC[6]: "lfpw/testset/image_0001",
        PUBLIC[7]: "ibug/image_092",
        PUBLIC[8]: "ibug/image_003",
    }


def test_missing_folders_are_named_with_where_to_get_them(folder: Path) -> None:
    (folder / "lfpw").rename(folder / "lfw")
    (folder / "ibug").rename(folder / "bug")
    with pytest.raises(DatasetError) as error:
        ThreeHundredW(folder, "full")
    said = str(error.value)
    assert said.startswith(f"{folder}: lacks lfpw/testset, ibug\nExpected there is 300-W:\n")
    assert "helen/trainset" in said
    assert "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/" in said
    with pytest.raises(DatasetError, match=r"lacks 01_Indoor, 02_Outdoor\n(.*\n)*.*ibug\.doc\.ic\.ac\.uk"):
        ThreeHundredWPrivate(folder / "helen", "full")


def test_a_face_without_its_picture_and_one_with_too_few_points(folder: Path, write_pts: Callable) -> None:
    (folder / "ibug/image_003_1.jpg").unlink()
    write_pts(folder / "ibug/image_092 _01.pts", np.ones((67, 2)))
    with pytest.raises(DatasetError) as error:
        ThreeHundredW(folder, "full")
    assert str(error.value).splitlines() == [
        f"{folder / 'ibug/image_003_1.pts'}: has no picture",
        f"{folder / 'ibug/image_092 _01.pts'}: 67 points where 68 are expected",
        "2 bad of 5 faces; skip_bad leaves them out",
    ]
