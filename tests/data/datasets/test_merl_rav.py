from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyspiga_geo.data import MERLRAV, DatasetError

pytestmark = pytest.mark.filterwarnings("ignore:.*do not compare with published:UserWarning")

POSES = ("frontal", "left", "lefthalf", "right", "righthalf")
FACES = {  # label, and the part of AFLW that its photo lies in
    "frontal/trainset/labels/image00070_1.pts": "0",
    "frontal/trainset/labels/image00070_2.pts": "0",
    "left/trainset/labels/image00032_1.pts": "2",
    "lefthalf/trainset/labels/image20991.pts": "3",
    "righthalf/trainset/labels/image00112.pts": "2",
    "right/testset/labels/image00091.pts": "2",
}


@pytest.fixture
def points(spread: Callable) -> np.ndarray:
    """Points as the owner writes them: located; beyond the photo; hidden by something; hidden by the face."""
    points = spread(68) + 1
    points[1] = -3.5, 12
    points[2] = -14.5, -20.25
    points[3] = -1, -1
    return points


@pytest.fixture
def folder(tmp_path: Path, draw: Callable, points: np.ndarray, write_pts: Callable) -> Path:
    for pose in POSES:
        for split in ("trainset", "testset"):
            (tmp_path / "merl_rav_labels" / pose / split / "labels").mkdir(parents=True)
    for number in "023":
        (tmp_path / "aflw/flickr" / number).mkdir(parents=True)
    for name, number in FACES.items():
        write_pts(tmp_path / "merl_rav_labels" / name, points)
        draw(tmp_path / f"aflw/flickr/{number}/{Path(name).stem.split('_')[0]}.jpg")
    return tmp_path


def organize(folder: Path, draw: Callable) -> None:
    """What the owner's script does: label and photo side by side, the photo once for each face."""
    for pose in POSES:
        for split in ("trainset", "testset"):
            target = folder / "merl_rav_organized" / pose / split
            target.mkdir(parents=True)
            for path in (folder / "merl_rav_labels" / pose / split / "labels").iterdir():
                path.rename(target / path.name)
                draw(target / f"{path.stem}.jpg")


@pytest.mark.parametrize("organized", [False, True])
def test_faces_subsets_and_groups(folder: Path, draw: Callable, organized: bool) -> None:
    if organized:
        organize(folder, draw)
    faces = MERLRAV(folder, "train")
    paths = (
        [
            "merl_rav_organized/frontal/trainset/image00070_1.jpg",
            "merl_rav_organized/frontal/trainset/image00070_2.jpg",
            "merl_rav_organized/left/trainset/image00032_1.jpg",
            "merl_rav_organized/lefthalf/trainset/image20991.jpg",
            "merl_rav_organized/righthalf/trainset/image00112.jpg",
        ]
        if organized
        else [
            "aflw/flickr/0/image00070.jpg",
            "aflw/flickr/0/image00070.jpg",
            "aflw/flickr/2/image00032.jpg",
            "aflw/flickr/3/image20991.jpg",
            "aflw/flickr/2/image00112.jpg",
        ]
    )
    assert [record.imgpath for record in faces.records] == paths
    assert faces.subsets == {"frontal": [0, 1], "profile": [2], "half_profile": [3, 4]}
    assert [record.group for record in faces.records] == [
        "image00070",
        "image00070",
        "image00032",
        "image20991",
        "image00112",
    ]
    assert MERLRAV(folder, "test").subsets == {"profile": [0]}


def test_signs_tell_what_is_hidden(folder: Path, points: np.ndarray) -> None:
    faces = MERLRAV(folder, "test")
    record = faces.records[0]
    np.testing.assert_allclose(record.landmarks[0], points[0] - 1)
    assert record.landmarks[1].tolist() == [-4.5, 11]
    assert record.landmarks[2].tolist() == [13.5, 19.25]
    assert np.isnan(record.landmarks[3]).all()
    assert record.visible[:5].tolist() == [1, 1, 0, 0, 1]
    located = np.delete(record.landmarks, 3, axis=0)
    np.testing.assert_allclose(record.bbox, [*located.min(axis=0), *np.ptp(located, axis=0)])
    face = faces[0]
    assert face.mask.tolist() == [True] * 3 + [False] + [True] * 64
    assert face.visible[:5].tolist() == [1, 1, 0, 0, 1]


def test_missing_folders_are_named_with_where_to_get_them(folder: Path) -> None:
    (folder / "aflw").rename(folder / "AFLW")
    with pytest.raises(DatasetError) as error:
        MERLRAV(folder, "train")
    said = str(error.value)
    assert said.startswith(f"{folder}: lacks aflw/flickr/0, aflw/flickr/2, aflw/flickr/3\n")
    assert "https://github.com/abhi1kumar/MERL-RAV_dataset" in said
    assert "https://www.tugraz.at/" in said
    with pytest.raises(DatasetError, match="lacks merl_rav_labels/frontal/testset/labels"):
        MERLRAV(folder / "AFLW", "test")


def test_a_label_without_its_photo_is_bad(folder: Path) -> None:
    (folder / "aflw/flickr/0/image00070.jpg").unlink()
    with pytest.raises(DatasetError) as error:
        MERLRAV(folder, "train")
    *lines, summary = str(error.value).splitlines()
    labels = folder / "merl_rav_labels/frontal/trainset/labels"
    assert lines == [f"{labels / f'image00070_{face}.pts'}: has no picture" for face in (1, 2)]
    assert summary.startswith("2 bad of 5 faces")


def test_a_face_with_nothing_located_is_bad(folder: Path, write_pts: Callable) -> None:
    write_pts(folder / "merl_rav_labels/right/testset/labels/image00091.pts", np.full((68, 2), -1.0))
    with pytest.raises(DatasetError, match=r"image00091\.pts: the box must have a size"):
        MERLRAV(folder, "test")
