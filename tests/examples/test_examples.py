"""Every example runs as its users run it, in its quick mode."""

import csv
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from pyspiga_geo import SPIGA, FaceData, get_layout
from pyspiga_geo.data import read_records
from pyspiga_geo.geometry import transform_points

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_its_test():
    tests = Path(__file__).read_text()
    names = [path.name for path in EXAMPLES.glob("*.py")]
    assert len(names) == 5
    assert all(f'"{name}"' in tests for name in names)


def test_align_photo(tmp_path):
    printed = run("align_photo.py", "--quick", "--out", tmp_path)
    assert re.search(r"face 1: yaw -?\d+\.\d, pitch -?\d+\.\d, roll -?\d+\.\d degrees", printed)
    (face,) = read_records(tmp_path / "faces.json")
    nose = face.landmarks[30]
    assert abs(nose - [112, 63]).max() < 5  # in the photo at half its size
    with Image.open(tmp_path / "face1.png") as upright, Image.open(tmp_path / "landmarks.png") as whole:
        assert upright.size == (256, 256)
        assert min(whole.size) > 1000


def test_upright_crop_levels_the_eyes():
    example = load("align_photo")
    layout = get_layout("ibug68")
    frontal = torch.tensor(layout.shape3d, dtype=torch.float32)[:, 1:] * torch.tensor([-40, 40])
    angle = torch.tensor(0.6)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    face = FaceData(pos=frontal @ turn.T + 90)
    moved = transform_points(face.pos, example.upright_crop(face, layout))
    assert moved[36, 1] == pytest.approx(moved[45, 1].item(), abs=1e-3)  # the outer corners of the eyes
    assert moved[36, 0] < moved[45, 0]
    assert moved[8, 1] > moved[36, 1]  # the chin is below
    low, high = moved.amin(dim=0), moved.amax(dim=0)
    assert torch.allclose((low + high) / 2, torch.tensor(127.5), atol=1e-3)
    assert (high - low).max() == pytest.approx(0.65 * 256, abs=1e-2)


def test_use_cascade_in_your_model(tmp_path):
    printed = run("use_cascade_in_your_model.py", "--quick", "--out", tmp_path)
    found = re.search(
        r"(\S+) pixels at the start; after each step of the cascade (\S+), \S+, (\S+)\n", printed
    )
    assert found is not None
    start, _, last = map(float, found.groups())
    assert last < 0.5 * start
    with Image.open(tmp_path / "stars.png") as picture:
        assert min(picture.size) > 400


def test_stars_have_their_corners_where_they_are_drawn():
    import numpy as np

    example = load("use_cascade_in_your_model")
    images, corners = example.draw_stars(4, np.random.default_rng(0))
    assert images.shape == (4, 3, 64, 64)
    for image, star in zip(images, corners, strict=True):
        middle = star.mean(dim=0)
        inside, outside = (64 * (star[::2] + share * (middle - star[::2])) for share in (0.2, -0.25))
        colour = image[:, *(64 * middle).round().long().flip(0)]
        for points, same in ((inside, True), (outside, False)):
            x, y = points.round().long().clamp(0, 63).T
            apart = (image[:, y, x] - colour[:, None]).abs().amax(dim=0)
            assert (apart < 0.01).sum() >= 4 if same else (apart < 0.01).sum() <= 1


def test_train_on_your_data(tmp_path):
    pytest.importorskip("lightning")
    printed = run("train_on_your_data.py", "--quick", "--out", tmp_path)
    assert re.search(r"8 new cats: \d+\.\d pixels from the truth", printed)
    model = SPIGA.from_pretrained(tmp_path / "run" / "model.safetensors")
    assert model.layout.name == "cat9"
    assert model.layout.ids[:2] == (7, 12)
    assert (tmp_path / "run" / "report.md").is_file()
    records = read_records(tmp_path / "data" / "train.json")
    assert len(records) == 24
    for record in records:
        with Image.open(tmp_path / "data" / record.imgpath) as picture:
            x, y = record.landmarks[4].round().astype(int).tolist()
            assert picture.getpixel((x, y)) == (220, 120, 130)  # the nose
    with Image.open(tmp_path / "cats.png") as picture:
        assert min(picture.size) > 400


def test_load_reference_weights(tmp_path):
    printed = run("load_reference_weights.py", "--quick", "--out", tmp_path)
    assert "98 landmarks (wflw98)" in printed
    assert re.search(r"steps +3 x \[1, 98, 2\]", printed)
    assert re.search(r"attention +12 x \[1, 4, 98, 98\]", printed)
    model = SPIGA.from_pretrained(tmp_path / "reference.safetensors")
    assert model.config.channel_order == "bgr"
    assert (tmp_path / "landmarks.png").stat().st_size > 10_000


def test_numbers_drawn_at_random_arrive_where_they_belong():
    example = load("load_reference_weights")
    source, target = (SPIGA.from_preset("reference", "wflw98", **example.SMALL) for _ in range(2))
    state = example.drawn_at_random(source)
    assert state["conv_window.0.weight"].shape == (32, 32, 7, 7)
    target.load_reference_state_dict(state)
    ours, theirs = source.state_dict(), target.state_dict()
    for name in (
        "cascade.steps.1.visual.lin.weight",
        "backbone.stacks.1.pose.bias",
        "backbone.stem.0.conv.weight",
    ):
        assert torch.equal(ours[name], theirs[name]), name
    query = "cascade.steps.0.blocks.0.conv.lin_query.weight"
    assert torch.equal(theirs[query][:8], ours[query][::4])  # the authors deal channels out to heads in turn


CELLS = ("attention", "none", "gcn", "sage", "none: 1 step")


def test_compare_gcn_gat_killed_and_started_again(tmp_path):
    arguments = ["--quick", "--drawn", "8", "--seeds", "1", "--epochs", "1", "--jobs", "1", "--cells", *CELLS]
    command = [sys.executable, str(EXAMPLES / "compare_gcn_gat.py"), "--out", str(tmp_path), *arguments]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    cells = tmp_path / "cells"
    while process.poll() is None and not list(cells.glob("[!.]*.safetensors")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("[!.]*.safetensors")}
    kept |= {path: path.stat().st_mtime_ns for path in (tmp_path / "features").glob("[!.]*.safetensors")}
    finished = len(list(cells.glob("[!.]*.safetensors")))
    assert 0 < finished < len(CELLS), "killed too late"
    assert not (tmp_path / "table.csv").exists()

    printed = run("compare_gcn_gat.py", "--out", tmp_path, *arguments)
    assert f"{finished} of 5 trainings are there, {5 - finished} to do" in printed
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["cell"] for row in rows if row["condition"] == "all"] == list(CELLS)
    assert all(0 < float(row["nme"]) < 100 for row in rows if row["condition"] == "all")
    assert all(name in printed for name in CELLS)
    for name in ("cells.png", "conditions.png", "messages.png"):
        assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "gnc"], "--cells: unknown cell 'gnc'"),
        (["--test"], "--test needs --faces"),
        (["--seeds", "0"], "--seeds must be at least 1"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    example = load("compare_gcn_gat")
    with pytest.raises(SystemExit):
        example.parse(["--out", "somewhere", *arguments])
    assert message in capsys.readouterr().err
