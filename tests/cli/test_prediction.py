"""The command ``predict``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.data import read_records

pytestmark = pytest.mark.usefixtures("unpainted")

BOX = ["--bbox", "30", "20", "50", "60"]
SMALL = ["--picture-size", "100"]  # drawn quickly


def one_sentence(err: str) -> bool:
    return err.count("\n") == 1 and err.startswith("pyspiga-geo: ") and "Traceback" not in err


def test_predict_writes_a_picture_and_a_record(run, tmp_path, weights, photo):
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, said, err = run("predict", photo, *BOX, "--model", weights, "--out", out, "--json", records)
    assert (code, err) == (0, "")
    assert str(out / "photo.png") in said
    assert Image.open(out / "photo.png").width >= 1000
    (record,) = read_records(records)
    assert record.imgpath == str(photo)
    assert record.bbox == (30, 20, 50, 60)
    assert record.landmarks.shape == (68, 2)
    assert sorted(path.name for path in out.iterdir()) == ["photo.png"]


def test_two_boxes_are_two_faces_and_corners_are_boxes_too(run, tmp_path, weights, photo):
    records, corners = tmp_path / "faces.json", tmp_path / "corners.json"
    command = ("predict", photo, "--model", weights)
    assert run(*command, *BOX, "--bbox", "5", "6", "70", "80", "--json", records)[0] == 0
    assert [record.bbox for record in read_records(records)] == [(30, 20, 50, 60), (5, 6, 70, 80)]
    code, _, _ = run(
        *command, "--bbox", "30", "20", "80", "80", "--bbox-format", "xyxy", "--json", corners
    )  # fmt: skip
    assert code == 0
    assert [record.bbox for record in read_records(corners)] == [(30, 20, 50, 60)]


def test_photos_of_one_name_do_not_overwrite_each_other(run, tmp_path, weights, portrait):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        portrait.save(tmp_path / folder / "x.png")
    code, _, _ = run(
        "predict",
        tmp_path / "a/x.png",
        tmp_path / "b/x.png",
        "--model",
        weights,
        "--out",
        tmp_path / "out",
        *SMALL,
    )
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.png", "x_2.png"]


def test_bad_images_are_named_and_the_others_are_done(run, tmp_path, weights, portrait):
    good = tmp_path / "good.png"
    portrait.save(good)
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.png").write_bytes(good.read_bytes()[:5000])
    Image.fromarray(np.zeros((100, 100, 3), dtype=np.uint8)).save(tmp_path / "black.png")
    images = [
        tmp_path / "text.jpg",
        tmp_path / "half.png",
        tmp_path / "absent.png",
        "",
        tmp_path / "black.png",
        good,
    ]
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, said, err = run("predict", *images, "--model", weights, "--out", out, "--json", records, *SMALL)
    assert code == 1
    complaints = err.splitlines()
    assert len(complaints) == 4
    for complaint, expected in zip(
        complaints,
        [
            "text.jpg: not a picture",
            "half.png: damaged or truncated",
            "absent.png: no such file",
            "must not be empty",
        ],
        strict=True,
    ):
        assert expected in complaint
        assert complaint.startswith("pyspiga-geo: ")
    assert "black.png: no face, drawn in" in said  # which is an answer
    assert "good.png: 1 face" in said
    assert sorted(path.name for path in out.iterdir()) == ["black.png", "good.png"]
    assert [record.imgpath for record in read_records(records)] == [str(good)]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (["10", "10", "0", "5"], "no size"),
        (["500", "10", "5", "5"], "outside of the picture"),
        (["-99", "-99", "20", "20"], "outside of the picture"),
    ],
)
def test_impossible_boxes(run, tmp_path, weights, photo, box, reason):
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, _, err = run("predict", photo, "--bbox", *box, "--model", weights, "--out", out, "--json", records)
    assert code == 1
    assert one_sentence(err)
    assert reason in err
    assert not out.exists()
    assert not records.exists()


def test_a_box_goes_with_one_image(run, tmp_path, weights, photo):
    other = photo.with_name("other.png")
    other.write_bytes(photo.read_bytes())
    code, _, err = run("predict", photo, other, *BOX, "--model", weights, "--out", tmp_path / "out")
    assert code == 1
    assert one_sentence(err)


@pytest.fixture
def album(tmp_path):
    """A folder of four photos of noise, one of them hidden, and of a text."""
    folder = tmp_path / "album"
    for number, name in enumerate(("b.jpg", "a.png", "deep/a.png", ".hidden/c.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (50, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no photo")
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_is_all_its_photos(run, weights, album):
    out, faces = album / "drawn", album / "faces.jsonl"  # within the folder: pictures are no photos
    command = ("predict", album, "--model", weights, "--out", out, *SMALL)
    code, said, err = run(*command, "--json", faces)
    assert (code, err) == (0, "")
    names = ["a.png", "b.jpg", "deep/a.png"]
    settings, *lines = lines_of(faces)
    expected = {"model": str(weights), "views": 1, "any_angle": False, "boxes": None}
    assert settings == {"program": "pyspiga-geo predict", **expected}
    assert lines == [{"imgpath": str(album / name), "faces": []} for name in names]
    assert [line.split(": ")[0] for line in said.splitlines()] == [str(album / name) for name in names]
    assert sorted(path.relative_to(out) for path in out.rglob("*.png")) == [
        Path("a.png"), Path("b.png"), Path("deep/a.png"),
    ]  # fmt: skip
    code, said, _ = run(*command, "--json", faces)
    assert code == 0
    assert "3 of 3 photos are already done" in said
    assert lines_of(faces)[1:] == lines
    assert run(*command)[0] == 0
    assert len(list(out.rglob("*.png"))) == 3


def test_all_faces_on_one_sheet(run, tmp_path, weights, photo):
    sheet = tmp_path / "sheet.png"
    command = ("predict", photo, *BOX, *BOX, "--model", weights, "--sheet")
    code, said, _ = run(*command, sheet)
    assert code == 0
    assert str(sheet) in said
    assert Image.open(sheet).size == (2 * 192, 192)
    assert run(*command, photo)[0] == 1
    code, _, err = run(*command, sheet, "--devices", "2")
    assert (code, "drawn by one process" in err) == (1, True)


def test_patterns_and_photos_named_twice(run, weights, album):
    pattern = str(album / "*.png")
    code, said, _ = run("predict", pattern, album / "a.png", pattern, "--model", weights, "--json", album / "f.jsonl")
    assert code == 0
    assert said.splitlines() == [f"{album / 'a.png'}: no face"]


def test_folders_without_photos_and_patterns_of_nothing_are_told(run, tmp_path, weights):
    (tmp_path / "empty").mkdir()
    for argument, reason in (("empty", "empty: contains no photos (JPEG, PNG,"), ("*.jpg", "no file has such a name")):
        code, _, err = run("predict", tmp_path / argument, "--model", weights, "--out", tmp_path / "out")
        assert code == 1
        assert one_sentence(err)
        assert reason in err
    code, _, err = run("predict", tmp_path / "a.jpg", "--model", weights)
    assert (code, "needs --out" in err) == (1, True)


def test_lines_are_predictions_for_evaluate(run, tmp_path, weights, photo):
    for name in ("faces.jsonl", "faces.json"):
        assert run("predict", photo, *BOX, "--model", weights, "--json", tmp_path / name)[0] == 0
    code, said, _ = run(
        "evaluate", "--predictions", tmp_path / "faces.jsonl", "--annotations", tmp_path / "faces.json"
    )  # fmt: skip
    assert code == 0
    assert "NME 0.0000" in said


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs names of open files")
def test_lines_go_to_a_pipe(run, weights, photo):
    out, into = os.pipe()
    with open(out) as lines:
        with os.fdopen(into, "w"):
            code, _, err = run("predict", photo, *BOX, "--model", weights, "--json", f"/dev/fd/{into}")
        assert (code, err) == (0, "")
        assert '"landmarks": [[' in lines.read()


@pytest.mark.parametrize("name", ["other.jsonl", "other.partial.jsonl"])
def test_lines_of_others_stay(run, tmp_path, weights, photo, name):
    (tmp_path / name).write_text('{"imgpath": "x"}\n')
    wanted = tmp_path / ("other.jsonl" if name == "other.jsonl" else "other.json")
    code, _, err = run("predict", photo, *BOX, "--model", weights, "--json", wanted)
    assert code == 1
    assert one_sentence(err)
    assert f"{name}: exists" in err
    assert (tmp_path / name).read_text() == '{"imgpath": "x"}\n'


@pytest.mark.parametrize(("option", "value"), [("--device", "cuda:77"), ("--batch-size", "0"), ("--workers", "-1")])
def test_impossible_settings(run, tmp_path, weights, photo, option, value):
    code, _, err = run("predict", photo, "--model", weights, "--out", tmp_path / "out", option, value)
    assert code in (1, 2)
    assert value in err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faces.jsonl", "faces.json"])
def test_two_processes_share_the_work(run, tmp_path, weights, name):
    from skimage.data import astronaut

    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(np.roll(astronaut(), 10 * number, axis=1)).save(folder / f"{number}.png")
    (folder / "broken.png").write_text("no picture")
    script = tmp_path / "command.py"
    script.write_text("from pyspiga_geo.cli import main; main()")
    command = ["predict", folder, "--model", weights, "--out", tmp_path / "out", "--json"]
    done = subprocess.run(
        list(map(str, [sys.executable, script, *command, tmp_path / name, "--devices", "2"])),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "broken.png: not a picture" in done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    (tmp_path / "alone").mkdir()
    assert run(*command, tmp_path / "alone" / name, "--overwrite")[0] == 1
    alone, shared = (read_records(path / name) for path in (tmp_path / "alone", tmp_path))
    assert [face.imgpath for face in shared] == [face.imgpath for face in alone]
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-2)
    assert sorted(path.name for path in tmp_path.glob("faces*")) == [name]
