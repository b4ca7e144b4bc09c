import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.data import RecordError, sound_faces

IDS = [7, 12]


def face(**changes: Any) -> dict[str, Any]:
    entry = {"imgpath": "good.png", "bbox": [1, 1, 8, 8], "ids": IDS, "landmarks": [[2, 3], [7, 3]]}
    return {**entry, **changes}


BAD = {
    "no such file": face(imgpath="missing.png"),
    "damaged or truncated": face(imgpath="truncated.png"),
    "not a picture": face(imgpath="text.png"),
    "must hold finite numbers": face(landmarks=[[2, float("inf")], [7, 3]]),
    "only one of its two coordinates": face(landmarks=[[2, float("nan")], [7, 3]]),
    "as long as ids": face(landmarks=[[2, 3]]),
    "occurs more than once": face(ids=[7, 7]),
    "size above zero": face(bbox=[1, 1, 0, 0]),
    "landmarks of another layout (ids 901, 902": face(ids=[901, 902]),
    "none of the landmarks that are wanted": face(landmarks=[[None, None], [None, None]]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures good and bad, and a file of records with a good one before and after the bad ones."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "faces.json").write_text(json.dumps([face(), *BAD.values(), face(group="last")]))
    return tmp_path


def test_every_bad_record_is_named_at_once(folder: Path) -> None:
    with pytest.raises(RecordError) as error:
        sound_faces(folder / "faces.json", folder, IDS)
    *lines, summary = str(error.value).splitlines()
    assert len(lines) == len(BAD)
    for index, (reason, line) in enumerate(zip(BAD, lines, strict=True), start=1):
        assert line.startswith(f"{folder / 'faces.json'}: record {index}: ")
        assert reason in line
    assert summary.startswith(f"{len(BAD)} bad of {len(BAD) + 2} faces")


def test_bad_records_are_left_out_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = sound_faces(folder / "faces.json", folder, IDS, skip_bad=True)
    assert [record.group for record in faces] == [None, "last"]
    said = capsys.readouterr().out
    assert f"{len(BAD)} bad faces are left out, 2 remain" in said
    assert said.count("record ") == len(BAD)


def test_good_records_pass_in_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "faces.json").write_text(json.dumps([face(), face()]))
    assert len(sound_faces(folder / "faces.json", folder, IDS)) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("content", ["", "[]", "{}"], ids=["empty file", "empty list", "no list"])
def test_files_without_a_face(content: str, skip_bad: bool, folder: Path) -> None:
    (folder / "faces.json").write_text(content)
    with pytest.raises(RecordError, match=r"faces\.json"):
        sound_faces(folder / "faces.json", folder, IDS, skip_bad)


def test_when_all_are_bad_nothing_is_left_to_skip_to(folder: Path) -> None:
    (folder / "faces.json").write_text(json.dumps([face(bbox=[1, 1, 0, 0])]))
    with pytest.raises(RecordError, match="no usable face"):
        sound_faces(folder / "faces.json", folder, IDS, skip_bad=True)


def test_names_that_are_no_unicode_are_told_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "faces.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, entries[0] | {"imgpath": "\udcff.png"}]))
    sound_faces(path, folder, IDS, skip_bad=True)
    assert "\\udcff.png: no such file" in capsys.readouterr().out
