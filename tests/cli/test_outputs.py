"""No command writes over an input, or over a file that the program did not write."""

import os
import shutil
import sys
import zlib

import pytest
import torch
from PIL import Image

from pyspiga_geo.data import read_records

pytestmark = pytest.mark.usefixtures("unpainted")

BOX = ["--bbox", "30", "20", "50", "60"]
SMALL = ["--picture-size", "100"]  # drawn quickly


@pytest.mark.parametrize("name", ["the same", "a link", "a hard link"])
@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_a_photo_is_never_written_over(run, tmp_path, weights, photo, name, extra):
    before, out = photo.read_bytes(), photo.parent
    if name != "the same":
        out = tmp_path / "out"
        out.mkdir()
        (os.symlink if name == "a link" else os.link)(photo, out / "photo.png")
    code, _, err = run("predict", photo, *BOX, "--model", weights, "--out", out, *extra)
    assert code == 1
    assert "photo.png: is an input" in err
    assert photo.read_bytes() == before


def test_pictures_of_others_stay_and_own_ones_are_replaced(run, tmp_path, weights, photo):
    out = tmp_path / "out"
    out.mkdir()
    command = ("predict", photo, *BOX, "--model", weights, "--out", out, *SMALL)
    Image.new("RGB", (8, 8)).save(out / "photo.png")
    code, _, err = run(*command)
    assert code == 1
    assert "photo.png: exists" in err
    assert Image.open(out / "photo.png").size == (8, 8)
    assert run(*command, "--overwrite")[0] == 0
    assert Image.open(out / "photo.png").width > 8
    assert run(*command)[0] == 0


@pytest.mark.parametrize("target", ["truth.json", "folder", "file/faces.json", "own/photo.png"])
def test_a_bad_json_is_told_before_the_work(run, tmp_path, weights, photo, target):
    (tmp_path / "truth.json").write_text("[]")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    out = tmp_path / "out"
    code, _, err = run("predict", photo, *BOX, "--model", weights, "--out", out, "--json", tmp_path / target)
    assert code == 1
    assert err.count("\n") == 1
    assert str(tmp_path / target) in err
    assert not out.exists()
    assert (tmp_path / "truth.json").read_text() == "[]"


def test_one_failed_picture_ends_neither_the_others_nor_the_json(run, tmp_path, weights, photo, monkeypatch, portrait):
    import pyspiga_geo.visualization as visualization

    photos = [tmp_path / "first.png", tmp_path / "second.png"]
    for path in photos:
        portrait.save(path)
    save = visualization.save_faces

    def full_disk(path, *arguments):
        if path.name == "first.png":
            raise OSError(28, "No space left on device", str(path))
        save(path, *arguments)

    monkeypatch.setattr(visualization, "save_faces", full_disk)
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, _, err = run("predict", *photos, "--model", weights, "--out", out, "--json", records, *SMALL)
    assert code == 1
    assert err.count("\n") == 1
    assert "first.png: No space left on device" in err
    assert [path.name for path in out.iterdir()] == ["second.png"]
    assert [record.imgpath for record in read_records(records)] == [str(path) for path in photos]


@pytest.mark.parametrize("name", ["faces.json", "faces.jsonl"])
@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_prediction_keeps_what_was_done_and_goes_on(
    run, tmp_path, weights, monkeypatch, name, torn, portrait
):
    import pyspiga_geo.inference.aligner as aligner

    photos = [tmp_path / "first.png", tmp_path / "second.png"]
    for path in photos:
        portrait.save(path)
    read = aligner.as_photo

    def interrupted(path):
        if path.endswith("second.png"):
            raise KeyboardInterrupt
        return read(path)

    records = tmp_path / name
    command = ("predict", *photos, "--model", weights, "--json", records, "--batch-size", "1")
    with monkeypatch.context() as patch:
        patch.setattr(aligner, "as_photo", interrupted)
        assert run(*command)[0] == 130
    assert [record.imgpath for record in read_records(records)] == [str(photos[0])]
    code, _, err = run(*command, "--any-angle")
    assert (code, "was started with any_angle False, not True" in err) == (1, True)
    if torn:  # as a killed process may leave it
        lines = tmp_path / ("faces.jsonl" if name == "faces.jsonl" else "faces.partial.jsonl")
        lines.write_bytes(lines.read_bytes() + b'{"imgpath": "' + bytes(str(photos[1]), "utf-8"))
    code, said, _ = run(*command)
    assert code == 0
    assert "1 of 2 photos are already done" in said
    assert said.count("1 face") == 1
    assert [record.imgpath for record in read_records(records)] == list(map(str, photos))
    assert sorted(path.name for path in tmp_path.glob("faces*")) == [name]


def test_convert_and_evaluate_refuse_what_exists(run, tmp_path, weights, photo):
    reference, truth = tmp_path / "reference.pt", tmp_path / "truth.json"
    torch.save({}, reference)
    truth.write_text("[]")
    code, _, err = run("convert", reference, reference)
    assert (code, "is an input" in err) == (1, True)
    code, _, err = run("convert", reference, truth)
    assert (code, "truth.json: exists" in err) == (1, True)
    for option in ("--json", "--predictions-out"):
        command = ("evaluate", "--predictions", truth, "--annotations", truth, option, truth)
        code, _, err = run(*command)
        assert (code, "truth.json: is an input" in err) == (1, True)
    code, _, err = run("evaluate", "--predictions", truth, "--annotations", truth, "--report", photo.parent)
    assert (code, "own: holds other files" in err) == (1, True)
    assert truth.read_text() == "[]"


@pytest.mark.parametrize("name", ["faces.json", "faces.jsonl"])
def test_what_was_stopped_between_line_and_picture_is_drawn(run, tmp_path, weights, photo, name):
    out, lines = tmp_path / "out", tmp_path / "faces.jsonl"
    command = ("predict", photo, *BOX, "--model", weights, "--out", out, *SMALL, "--json")
    assert run(*command, lines)[0] == 0
    wanted = (lines.read_bytes(), (out / "photo.png").read_bytes())
    (out / "photo.png").unlink()
    if name == "faces.json":
        lines.rename(tmp_path / "faces.partial.jsonl")
    code, said, _ = run(*command, tmp_path / name)
    assert code == 0
    assert "0 of 1 photos are already done" in said
    assert (out / "photo.png").read_bytes() == wanted[1]
    assert lines.read_bytes() == wanted[0] if name == "faces.jsonl" else len(read_records(tmp_path / name)) == 1


@pytest.mark.parametrize("line", ["[" * 9999, '{"imgpath": 3, "faces": []}', '{"imgpath": "x", "faces": [{"ids": 1}]}'])
def test_damaged_lines_are_told_before_the_work(run, tmp_path, weights, photo, line):
    command = ("predict", photo, *BOX, "--model", weights, "--json", tmp_path / "faces.jsonl")
    assert run(*command)[0] == 0
    content = (tmp_path / "faces.jsonl").read_text() + line + "\n"
    for name in ("faces.jsonl", "faces.partial.jsonl"):
        (tmp_path / name).write_text(content)
        code, _, err = run(*command[:-1], tmp_path / name.replace(".partial.jsonl", ".json"))
        assert (code, err.count("\n")) == (1, 1), err
        assert f"{name}: exists, and is damaged" in err
        assert (tmp_path / name).read_text() == content
        (tmp_path / name).unlink()


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="needs file names that are no Unicode")
def test_photos_whose_name_is_no_unicode(run, tmp_path, weights, photo):
    odd = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    shutil.copyfile(photo, odd)
    code, said, err = run("predict", os.fsdecode(odd), *BOX, "--model", weights, "--json", tmp_path / "faces.json")
    assert (code, err) == (0, "")
    assert "\\udcff.png: 1 face" in said
    assert read_records(tmp_path / "faces.json")[0].imgpath == os.fsdecode(odd)


def test_a_report_that_was_begun_is_completed(run, tmp_path, weights, photo):
    truth, report = tmp_path / "truth.json", tmp_path / "report"
    assert run("predict", photo, *BOX, "--model", weights, "--json", truth)[0] == 0
    command = ("evaluate", "--predictions", truth, "--annotations", truth, "--report", report)
    assert run(*command)[0] == 0
    (report / "report.md").unlink()
    (report / ".5f7a.png").write_bytes(b"not finished")
    assert run(*command)[0] == 0
    assert (report / "report.md").is_file()


def test_a_picture_of_impossible_size_is_told_among_others(run, tmp_path, weights, photo):
    content = bytearray(photo.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (photo.parent / "large.png").write_bytes(content)
    code, said, err = run("predict", photo.parent, "--model", weights, "--json", tmp_path / "faces.json")
    assert (code, err.count("\n")) == (1, 1)
    assert "large.png: too large a picture" in err
    assert "photo.png: no face" in said
