import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyspiga_geo.data import DATASETS, DatasetError, ThreeHundredWPrivate, read_dataset, read_records


@pytest.fixture
def folder(tmp_path: Path, draw: Callable, spread: Callable, write_pts: Callable) -> Path:
    """300-W private: three faces indoor, of which the second has a truncated picture, and one outdoor."""
    for name in ("01_Indoor/indoor_1", "01_Indoor/indoor_2", "01_Indoor/indoor_3", "02_Outdoor/outdoor_1"):
        draw(tmp_path / f"{name}.png", (9, 7), (30, 30), (50, 20))
        write_pts(tmp_path / f"{name}.pts", spread(68) + 1)
    path = tmp_path / "01_Indoor/indoor_2.png"
    path.write_bytes(path.read_bytes()[:80])
    return tmp_path


def test_the_names_for_configurations() -> None:
    assert list(DATASETS) == ["wflw", "300w", "300w-private", "cofw68", "merl-rav", "pts"]


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_dataset_says_what_it_expects_and_where_to_get_it(name: str, tmp_path: Path) -> None:
    for split in DATASETS[name].sizes:
        with pytest.raises(DatasetError) as error:
            read_dataset(name, tmp_path, split)
        first, expected, *files, source = str(error.value).splitlines()
        assert first.startswith(f"{tmp_path}: ")
        assert expected.startswith("Expected there is ")
        assert len(files) >= 2
        assert source.startswith("Get it from ")
        assert "https://" in source


def test_damaged_pictures_are_found_before_long_work(folder: Path) -> None:
    with pytest.warns(UserWarning, match="4 faces, but 300-W private has 600"):
        assert len(ThreeHundredWPrivate(folder, "full")) == 4
    with pytest.raises(DatasetError) as error:
        read_dataset("300w-private", folder, "full")
    line, summary = str(error.value).splitlines()
    assert line.startswith(f"{folder / '01_Indoor/indoor_2.pts'}: {folder / '01_Indoor/indoor_2.png'}: damaged")
    assert summary == "1 bad of 4 faces; skip_bad leaves them out"


def test_what_is_left_keeps_its_subsets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="3 faces, but 300-W private has 600 in 'full'"):
        faces = read_dataset("300w-private", folder, "full", skip_bad=True)
    assert [record.imgpath for record in faces.records] == [
        "01_Indoor/indoor_1.png",
        "01_Indoor/indoor_3.png",
        "02_Outdoor/outdoor_1.png",
    ]
    assert faces.subsets == {"indoor": [0, 1], "outdoor": [2]}
    assert faces.root == folder
    said = capsys.readouterr().out
    assert "indoor_2.pts" in said
    assert "1 bad faces are left out, 3 remain" in said


@pytest.mark.filterwarnings("ignore:.*do not compare with published:UserWarning")
def test_saved_records_and_subsets_are_those_of_the_dataset(folder: Path) -> None:
    faces = read_dataset("300w-private", folder, "full", skip_bad=True)
    faces.save(folder / "deep/test.json")
    again = read_records(folder / "deep/test.json")
    assert [vars(record) | {"landmarks": 0, "visible": 0} for record in again] == [
        vars(record) | {"landmarks": 0, "visible": 0} for record in faces.records
    ]
    for before, after in zip(faces.records, again, strict=True):
        assert np.array_equal(before.landmarks, after.landmarks)
        assert np.array_equal(before.visible, after.visible)
    assert json.loads((folder / "deep/test_subsets.json").read_text()) == {"indoor": [0, 1], "outdoor": [2]}


def test_when_all_are_bad_nothing_is_left_to_skip_to(folder: Path) -> None:
    (folder / "02_Outdoor/outdoor_1.png").unlink()
    with pytest.raises(DatasetError, match=r"has no picture\n.*no usable face"):
        read_dataset("300w-private", folder, "outdoor", skip_bad=True)


def test_unknown_names_and_splits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown dataset 'lfw'; known: wflw, 300w, "):
        read_dataset("lfw", tmp_path, "train")
    with pytest.raises(ValueError, match="300-W has no split 'test', only train, full, common, challenging"):
        read_dataset("300w", tmp_path, "test")
