"""Every example runs, in its quick mode."""

import csv
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo import SPIGA, FaceData, get_layout
from pyspiga_geo.data import read_records
from pyspiga_geo.geometry import transform_points

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs an example, without the start of another Python, and gives what it prints."""

    def example(name: str, *arguments: object) -> str:
        module = load(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
            module.main()
        return capsys.readouterr().out

    return example


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_its_test():
    tests = Path(__file__).read_text()
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    assert len(names) == 8
    assert all(re.search(rf'run\("{name}"|"{name}\.py"', tests) for name in names)


def test_align_photo(run, tmp_path):
    printed = run("align_photo", "--quick", "--out", tmp_path)
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


def test_use_cascade_in_your_model(run, tmp_path):
    printed = run("use_cascade_in_your_model", "--steps", 4, "--out", tmp_path)
    assert re.search(r"\d\.\d+ pixels at the start; after each step of the cascade \S+, \S+, \S+\n", printed)
    with Image.open(tmp_path / "stars.png") as picture:
        assert min(picture.size) > 400


def test_stars_have_their_corners_where_they_are_drawn():
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


def test_landmarks_in_volumes(run, tmp_path):
    printed = run("landmarks_in_volumes", "--steps", 4, "--out", tmp_path)
    assert re.search(
        r"100 new volumes: 5\.\d+ mm at the start, \d+\.\d+ by ridge regression; after each step of the cascade "
        r"(\d+\.\d+,? ?){3}\n",
        printed,
    )
    with Image.open(tmp_path / "volumes.png") as picture:
        assert min(picture.size) > 400


def test_skeletons_have_their_joints_where_they_are_drawn():
    example = load("landmarks_in_volumes")
    volumes, joints = example.draw_skeletons(20)
    assert volumes.shape == (20, 1, 20, 32, 32)
    sizes = torch.tensor([32, 32, 20])  # x, y, z
    x, y, z = (joints * sizes).round().long().clamp(min=0).minimum(sizes - 1).permute(2, 0, 1)
    here = volumes[torch.arange(20)[:, None], 0, z, y, x]
    assert here.mean() > volumes.mean() + 0.6
    assert torch.allclose(example.regress(volumes, joints, volumes, ridge=1e-6), joints, atol=1e-2)


def test_graphs_of_different_sizes(run, tmp_path):
    printed = run("graphs_of_different_sizes", "--steps", 2, "--out", tmp_path)
    for maps in ("16 new maps of 5 to 12 crossings", "8 new maps of 13 to 16 crossings"):
        assert re.search(rf"{maps}: \d\.\d+ pixels at the start, \S+ without messages, \S+ with attention\n", printed)
    with Image.open(tmp_path / "maps.png") as picture:
        assert min(picture.size) > 400


def test_maps_show_the_roads_between_crossings_that_exist():
    example = load("graphs_of_different_sizes")
    one = example.draw_map(12, np.random.default_rng(0))
    assert one.num_nodes == 12
    assert one.is_undirected()
    assert 0 < one.mask.sum() < 12
    shown = one.mask[one.edge_index].all(dim=0)
    x, y = (64 * one.truth[one.edge_index].mean(dim=0)).round().long().T  # the middles of the roads
    middles = one.image[0, 0, y, x]
    assert middles[shown].min() > 0.5
    assert (middles[~shown] < 0.5).any()


def test_match_keypoints(run, tmp_path):
    printed = run("match_keypoints", "--steps", 2, "--out", tmp_path)
    found = re.search(
        r"32 new pairs: nearest patch (\S+) %, nearest patch and place (\S+) %, attention (\S+) %",
        printed,
    )
    assert found is not None
    patch, place, _ = map(float, found.groups())
    assert 100 / 32 < patch < place < 100
    with Image.open(tmp_path / "match.png") as picture:
        assert min(picture.size) > 400


def test_keypoints_that_match_are_those_of_one_thing():
    example = load("match_keypoints")
    pictures, (left, right), truth = example.draw_pairs(3, np.random.default_rng(0))
    assert [picture.shape for picture in pictures] == [(3, 1, 96, 96)] * 2
    for pos, other, index in zip(left, right, truth, strict=True):
        known = torch.cat([pos, torch.ones(24, 1)], dim=1)
        fitted = known @ torch.linalg.lstsq(known, other[index]).solution
        assert (fitted - other[index]).norm(dim=1).max() < 0.06  # turned, shifted, and moved a little
    matching = example.Matcher().eval()(pictures, (left, right))
    assert matching.shape == (3, 24, 32)
    assert torch.allclose(matching.sum(dim=2), torch.ones(3, 24))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figures", "share"),
    [
        ("use_cascade_in_your_model", r"(\S+) pixels at the start; .*, (\S+)\n", 0.3),
        ("landmarks_in_volumes", r"(\S+) by ridge regression; .*, (\S+)\n", 0.6),
        ("graphs_of_different_sizes", r"16 crossings.* (\S+) without messages, (\S+) with attention", 0.6),
        ("match_keypoints", r"patch and place (\S+) %, attention (\S+) %", None),
    ],
)
def test_examples_beat_what_they_are_compared_with(name, figures, share, run, tmp_path):
    baseline, ours = map(float, re.search(figures, run(name, "--out", tmp_path)).groups())
    assert ours > baseline + 20 if share is None else ours < share * baseline


def test_train_on_your_data(run, tmp_path, monkeypatch):
    pytest.importorskip("lightning")
    monkeypatch.setattr("matplotlib.figure.Figure.draw", lambda *_: None)  # reports take most of the time
    printed = run("train_on_your_data", "--quick", "--out", tmp_path)
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


def test_load_reference_weights(run, tmp_path):
    printed = run("load_reference_weights", "--quick", "--out", tmp_path)
    assert "98 landmarks (wflw98)" in printed
    assert re.search(r"steps +3 x \[1, 98, 2\]", printed)
    assert re.search(r"attention +12 x \[1, 4, 98, 98\]", printed)
    model = SPIGA.from_pretrained(tmp_path / "reference.safetensors")
    assert model.config.channel_order == "bgr"
    assert "meaningless" in printed
    assert not (tmp_path / "landmarks.png").exists()  # a face drawn from random weights would look like a result


CELLS = ("attention", "none", "gcn", "sage", "none: 1 step")
STUDY = ["--quick", "--drawn", "8", "--seeds", "1", "--epochs", "1", "--jobs", "1", "--cells"]


@pytest.mark.slow
def test_compare_gcn_gat(run, tmp_path, monkeypatch):
    load("compare_gcn_gat")  # which finds the study
    monkeypatch.setattr("ablation.jobs.ProcessPoolExecutor", lambda jobs, *_: ThreadPoolExecutor(jobs))
    for name in ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.setenv(name, "0")  # and as it was after the test
    threads = torch.get_num_threads()
    check_the_rest_of_the_study(run, tmp_path, 0)
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_compare_gcn_gat_killed_and_started_again(run, tmp_path):
    command = [sys.executable, str(EXAMPLES / "compare_gcn_gat.py"), "--out", str(tmp_path), *STUDY, *CELLS]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    cells = tmp_path / "cells"
    while process.poll() is None and not list(cells.glob("[!.]*.safetensors")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list(cells.glob("[!.]*.safetensors")))
    assert 0 < finished < len(CELLS), "killed too late"
    assert not (tmp_path / "table.csv").exists()
    check_the_rest_of_the_study(run, tmp_path, finished)


def check_the_rest_of_the_study(run, folder, finished):
    """Nothing is trained twice, and the results are those of all cells."""
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*/[!.]*.safetensors")}
    assert len(kept) > finished or not finished  # the features, too
    printed = run("compare_gcn_gat", "--out", folder, *STUDY, *CELLS)
    assert f"{finished} of 5 trainings are there, {5 - finished} to do" in printed
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["cell"] for row in rows if row["condition"] == "all"] == list(CELLS)
    assert all(0 < float(row["nme"]) < 100 for row in rows if row["condition"] == "all")
    assert all(name in printed for name in CELLS)
    for name in ("cells.png", "conditions.png", "messages.png"):
        assert (folder / name).stat().st_size > 10_000


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
