"""The command ``track``."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.cli.arguments import parser
from pyspiga_geo.tracking import FaceTracker, read_tracks, write_film


@pytest.fixture
def folder(tmp_path):
    """Three frames of a photo that is moved."""
    from skimage.data import astronaut

    (tmp_path / "frames").mkdir()
    for number in range(3):
        pixels = np.roll(astronaut(), 5 * number, axis=1)[:300, :400]
        Image.fromarray(pixels).save(tmp_path / "frames" / f"{number}.png")
    return tmp_path / "frames"


def test_a_folder_to_json_lines_needs_no_pyav(run, tmp_path, weights, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    lines = tmp_path / "new" / "faces.jsonl"
    command = ("track", folder, "--json", lines, "--model", weights, "--fps", 10)
    code, said, err = run(*command)
    assert (code, err) == (0, "")
    assert "3 frames" in said
    header = json.loads(lines.read_text().splitlines()[0])
    assert (header["film"], header["fps"], header["model"]) == ("frames", 10, "tiny.safetensors")
    assert [frame.time for frame in read_tracks(lines)] == [0, 0.1, 0.2]
    before = lines.read_bytes()
    assert run(*command)[0] == 0
    assert lines.read_bytes() == before
    code, _, err = run(*command, "--no-smoothing")
    assert (code, err.count("\n")) == (1, 1)
    assert "was made with smooth True, not False" in err
    assert run(*command, "--no-smoothing", "--overwrite")[0] == 0
    for wanted in (["--out", tmp_path / "a.mp4"], []):
        source = folder if wanted else folder / "0.png"
        code, _, err = run("track", source, "--json", lines, "--model", weights, "--no-smoothing", *wanted)
        assert (code, err.count("\n")) == (1, 1)
        assert "pip install 'pyspiga-geo[video]'" in err


def test_film_in_film_and_lines_out(run, tmp_path, weights, folder):
    av = pytest.importorskip("av", reason="needs the extra video")
    out = tmp_path / "out.mp4"
    command = ("track", folder, "--out", out, "--model", weights)
    assert run(*command)[0] == 0
    assert len(list(read_tracks(tmp_path / "out.jsonl"))) == 3
    with av.open(str(out)) as film:
        assert film.streams.video[0].frames == 3
    assert run(*command)[0] == 0  # its own film is replaced
    again = tmp_path / "again.mkv"
    assert run("track", out, "--out", again, "--model", weights)[0] == 0
    assert again.is_file()


def test_files_of_others_and_inputs_stay(run, tmp_path, weights, folder):
    pytest.importorskip("av", reason="needs the extra video")
    film, text = tmp_path / "film.mp4", tmp_path / "text.jsonl"
    with write_film(film, 64, 64, 25) as writer:
        writer.write(np.zeros((64, 64, 3), dtype=np.uint8), 0.0)
    text.write_text('{"mine": 1}\n')
    out = tmp_path / "out.mp4"
    out.write_text("no film")
    for arguments, reason in (
        ((film, "--out", film), "is an input"),
        ((film, "--json", film), "is an input"),
        ((folder, "--json", folder / "0.png", "--overwrite"), "is an input"),
        ((film, "--json", text), "text.jsonl: exists"),
        ((film, "--out", out), "out.mp4: exists"),
        ((film, "--out", tmp_path / "b.mp4", "--json", tmp_path / "b.mp4"), "two files"),
        ((film, "--out", tmp_path / "b.txt"), "must end in one of .mp4"),
        ((film,), "say where the results go"),
    ):
        code, _, err = run("track", *arguments, "--model", weights)
        assert (code, err.count("\n")) == (1, 1), err
        assert reason in err
    assert text.read_text() == '{"mine": 1}\n'
    assert out.read_text() == "no film"
    assert not (tmp_path / "b.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/dev/video987"], "/dev/video987: no such camera"),
        (["absent.mp4"], "absent.mp4: no such film or folder"),
        (["FOLDER", "--fps", "0"], "fps must be"),
        (["FOLDER", "--detect-every", "0"], "detect_every must be"),
        (["FOLDER", "--min-cutoff", "-1"], "min_cutoff must be"),
        (["FOLDER", "--device", "abacus"], "device 'abacus' cannot be used"),
    ],
)
def test_bad_input_is_told_in_a_sentence(run, tmp_path, weights, folder, arguments, reason):
    arguments = [str(folder) if each == "FOLDER" else each for each in arguments]
    code, _, err = run("track", *arguments, "--json", tmp_path / "a.jsonl", "--model", weights)
    assert (code, err.count("\n")) == (1, 1), err
    assert reason in err
    assert not (tmp_path / "a.jsonl").exists()


def test_the_defaults_of_the_command_are_those_of_the_tracker():
    options = vars(parser().parse_args(["track", "film.mp4"]).track)
    defaults = inspect.signature(FaceTracker).parameters
    for name in ("detect_every", "min_cutoff", "beta"):
        assert options[name] == defaults[name].default


@pytest.mark.slow
def test_killed_and_started_again_it_loses_nothing(tmp_path, folder):
    """With the model that ships, so that there is time to be killed."""
    pytest.importorskip("av", reason="needs the extra video")
    for number in range(3, 40):
        (folder / f"{number}.png").write_bytes((folder / f"{number % 3}.png").read_bytes())
    lines, out = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    command = [
        sys.executable,
        "-c",
        "from pyspiga_geo.cli import main; main()",
        "track",
        str(folder),
        "--out",
        str(out),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        limit = time.monotonic() + 120
        while time.monotonic() < limit and not (lines.exists() and lines.read_bytes().count(b"\n") > 8):
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
    kept = lines.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    assert 8 < kept.count(b"\n") < 41
    assert not out.exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert lines.read_bytes().startswith(kept)
    assert len(list(read_tracks(lines))) == 40
    assert {face.identity for frame in read_tracks(lines) for face in frame.faces} == {1}
    assert out.is_file()
