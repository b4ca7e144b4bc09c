"""Figures that validation logs and a run reports: those that ``evaluate`` gives."""

import copy
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from PIL import Image
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo import SPIGA, FaceAligner, FaceData, get_layout
from pyspiga_geo.data import AnnotatedFaces, FaceRecord, SyntheticFaces, write_records
from pyspiga_geo.data.transforms import Resample, SquareCrop
from pyspiga_geo.evaluation import evaluate_faces, landmark_poses
from pyspiga_geo.geometry import camera_matrix, invert_transform, project, square_crop, transform_points
from pyspiga_geo.inference import predict_records
from pyspiga_geo.models.head_pose import fitted_poses
from pyspiga_geo.training import StageConfig, TrainConfig, report, stages
from pyspiga_geo.training.targets import true_poses
from pyspiga_geo.visualization import save_figure

SIZE = 64
BOX = (20.0, 30.0, 50.0, 40.0)
CROP = square_crop(torch.tensor(BOX, dtype=torch.float64), SIZE)


@pytest.fixture(scope="module")
def upside_down(tiny_model: SPIGA) -> SPIGA:
    """A model that takes every face for one that is turned by 179 degrees, in double precision."""
    model = copy.deepcopy(tiny_model).double()
    with torch.no_grad():
        for stack in model.backbone.stacks:
            stack.pose.weight.zero_()
            stack.pose.bias[2] = 179
        for step in model.cascade.steps:
            for each in step.decoder.parameters():
                each.mul_(0.1)
    return model


@pytest.fixture(scope="module")
def truth(upside_down: SPIGA) -> list[FaceRecord]:
    """Five faces near what the model finds, turned by -179 degrees; some landmarks are not annotated."""
    shape, rng = torch.tensor(upside_down.layout.shape3d), np.random.default_rng(0)
    pose = upside_down.backbone.stacks[-1].pose.bias.detach().clone()
    pose[2] = -179
    seen = project(shape, pose, camera_matrix(SIZE, upside_down.config.focal_ratio, dtype=torch.float64))
    records = []
    for number in range(5):
        points = transform_points(seen, invert_transform(CROP)).numpy() + 0.2 * number * rng.normal(size=(68, 2))
        points[rng.integers(17, 30, number)] = np.nan
        records.append(FaceRecord(f"{number}.png", BOX, tuple(upside_down.layout.ids), points, np.ones(68)))
    poses = landmark_poses(records).tolist()
    return [replace(face, headpose=tuple(pose)) for face, pose in zip(records, poses, strict=True)]


@pytest.fixture(scope="module")
def loader(truth: list[FaceRecord]) -> DataLoader:
    """The same faces as crops."""
    faces = []
    for number, record in enumerate(truth):
        image = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(number))
        points = transform_points(torch.from_numpy(record.landmarks), CROP) / SIZE
        known = points.isfinite().all(dim=1)
        face = FaceData(image=image.double(), pos=points.nan_to_num(0), mask=known, crop=CROP)
        face.bbox, face.imgpath = torch.tensor(BOX, dtype=torch.float64), record.imgpath
        faces.append(face)
    return DataLoader(faces, batch_size=2)


def test_validation_report_and_evaluate_give_the_same_figures(upside_down, truth, loader, tmp_path, monkeypatch, run):
    """One of 179 against -179 degrees is wrong by 2, in all three."""
    stage = stages.JointStage(upside_down, TrainConfig(tmp_path, tmp_path, batch_size=2), StageConfig(3, 1e-3))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", precision="64-true", default_root_dir=tmp_path, **quiet)
    for _ in range(2):  # the second time as the first: nothing is kept
        trainer.validate(stage, loader, verbose=False)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    names = ("initial", "heatmaps", "step1", "step2", "step3")
    assert logged.keys() == {f"val/nme_{name}" for name in names} | {"val/auc", "val/fr", "val/pose_mae"}
    assert 0.5 < logged["val/pose_mae"] < 5  # 358 / 3, were it not for the circle
    assert 0 < logged["val/auc"] < 100

    reported = {}
    monkeypatch.setattr(report, "write_evaluation_report", lambda folder, evaluations, *_: reported.update(evaluations))
    report.write_report(tmp_path / "run", upside_down, loader)
    for name in names:
        measured = reported[name.replace("step", "step ")]
        assert measured.landmarks.nme == pytest.approx(logged[f"val/nme_{name}"], rel=1e-10)
        assert measured.pose.mae["mean"] == pytest.approx(logged["val/pose_mae"], rel=1e-8)

    with torch.no_grad():
        out = upside_down(torch.cat([batch.image for batch in loader]))
    pose = fitted_poses(out.pose, out.landmarks, upside_down.layout, upside_down.config.focal_ratio)
    found = transform_points(SIZE * out.landmarks, invert_transform(CROP)).numpy()
    predictions = [
        replace(face, landmarks=points, headpose=tuple(pose))
        for face, points, pose in zip(truth, found, pose.tolist(), strict=True)
    ]
    write_records(tmp_path / "truth.json", truth)
    write_records(tmp_path / "found.json", predictions)
    files = ("--annotations", tmp_path / "truth.json", "--predictions", tmp_path / "found.json")
    assert run("evaluate", *files, "--json", tmp_path / "figures.json")[0] == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    last = reported["step 3"].landmarks
    for name, value in {"nme": last.nme, "auc": last.auc, "fr": last.fr}.items():
        assert figures[name] == pytest.approx(value, rel=1e-10)
    assert figures["nme"] == pytest.approx(logged["val/nme_step3"], rel=1e-10)
    assert figures["auc"] == pytest.approx(logged["val/auc"], rel=1e-10)
    assert figures["fr"] == pytest.approx(logged["val/fr"], rel=1e-10)
    assert figures["pose_mae"]["mean"] == pytest.approx(logged["val/pose_mae"], rel=1e-8)


def test_an_annotated_head_pose_is_the_true_one(truth, tmp_path):
    Image.new("RGB", (90, 90)).save(tmp_path / "0.png")
    poses = [(10.0, 20.0, 30.0, 0, 0, 3), None]
    records = [replace(truth[0], headpose=pose) for pose in poses]
    crop = Compose([SquareCrop(SIZE), Resample(SIZE)])
    layout = get_layout("ibug68")
    (batch,) = DataLoader(AnnotatedFaces(records, tmp_path, layout, crop), batch_size=2)
    pos, mask = batch.pos.view(2, 68, 2), batch.mask.view(2, 68)
    first, second = true_poses(batch, pos, mask, layout, 1.0)
    assert first.tolist() == list(poses[0])
    assert abs(second[2]) == pytest.approx(179, abs=0.5)


def test_curves_show_all_that_they_name_and_stages_of_one_epoch(tmp_path: Path):
    log = tmp_path / "pose" / "csv" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    row = {"epoch": 0, "step": 4, "loss": 3.5, "val/nme_initial": 90, "val/nme_heatmaps": 4, "val/pose_mae": 30}
    with log.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    loss, error = report._curves(tmp_path).axes
    assert len(error.lines) == 3
    low, high = error.get_ylim()
    for line in (*loss.lines, *error.lines):
        assert line.get_marker() == "."
    assert all(low < value < high for line in error.lines for value in line.get_ydata())


def test_the_report_gives_the_figures_of_evaluate(tiny_model, tmp_path, monkeypatch):
    """The same faces, in their annotated boxes, through the command's own functions."""
    monkeypatch.setattr("matplotlib.figure.Figure.draw", lambda *_: None)  # painting takes most of the time
    layout = tiny_model.layout
    shape = np.array(layout.shape3d)[:, 1:] * (-1, 1)
    rng = np.random.default_rng(0)
    truth = []
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (90, 100, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        points = 25 * shape + 45 + rng.normal(size=(68, 2))
        box = (*points.min(axis=0), *np.ptp(points, axis=0))
        truth.append(FaceRecord(f"{number}.png", box, tuple(layout.ids), points, np.ones(68)))
    crop = Compose([SquareCrop(64, tiny_model.config.crop_scale), Resample(64)])
    faces = AnnotatedFaces(truth, tmp_path, layout, crop)
    page = report.write_report(tmp_path / "run", tiny_model, DataLoader(faces, batch_size=2)).read_text()
    photos = [tmp_path / face.imgpath for face in truth]
    expected = evaluate_faces(list(predict_records(FaceAligner(tiny_model), truth, photos)), truth)
    assert f"| step 3 | {expected.landmarks.nme:.3f} |" in page
    assert f"NME {expected.landmarks.nme:.4f}" in page
    assert (tmp_path / "run" / "validation" / "worst_faces.png").is_file()


def test_the_report_on_synthetic_faces_shows_them(tiny_model, tmp_path, monkeypatch):
    def save(path: Path, figure: Figure) -> None:  # the other pictures have nothing of it
        if path.stem == "worst_faces":
            save_figure(path, figure)

    monkeypatch.setattr("pyspiga_geo.visualization.evaluation_report.save_figure", save)
    crop = Compose([SquareCrop(64, tiny_model.config.crop_scale), Resample(64)])
    faces = SyntheticFaces(tiny_model.layout, 3, transform=crop)
    report.write_report(tmp_path, tiny_model, DataLoader(faces, batch_size=3))
    sheet = np.asarray(Image.open(tmp_path / "validation" / "worst_faces.png").convert("RGB"))
    assert np.unique(sheet.reshape(-1, 3), axis=0).shape[0] > 1000
