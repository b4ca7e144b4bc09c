"""Figures that a run reports: those that ``evaluate`` gives."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo import FaceAligner
from pyspiga_geo.data import AnnotatedFaces, FaceRecord, SyntheticFaces
from pyspiga_geo.data.transforms import Resample, SquareCrop
from pyspiga_geo.evaluation import evaluate_faces
from pyspiga_geo.inference import predict_records
from pyspiga_geo.training import StageConfig, TrainConfig, report, stages

POSE = torch.tensor([[179.0, 10, 0, 0, 0, 3]])
TRUE_POSE = torch.tensor([[-179.0, 7, 1, 0, 0, 3]])


def test_validation_measures_angles_round_the_circle(tiny_model, tmp_path, monkeypatch):
    stage = stages.JointStage(tiny_model, TrainConfig(tmp_path, tmp_path), StageConfig(1, 1e-3))
    pos = torch.rand(1, len(tiny_model.layout), 2)
    stage._seen.append({"truth": pos, "pose": POSE, "step1": pos})
    logged = {}
    monkeypatch.setattr(stages, "pose_targets", lambda *_: TRUE_POSE)
    monkeypatch.setattr(stage, "log", lambda name, value, **_: logged.update({name: float(value)}))
    stage.on_validation_epoch_end()
    assert logged["val/pose_mae"] == pytest.approx(2)
    assert logged["val/nme_step1"] == pytest.approx(0)


def test_curves_show_all_that_they_name_and_stages_of_one_epoch(tmp_path):
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


def test_the_report_on_synthetic_faces_shows_them(tiny_model, tmp_path):
    crop = Compose([SquareCrop(64, tiny_model.config.crop_scale), Resample(64)])
    faces = SyntheticFaces(tiny_model.layout, 3, transform=crop)
    report.write_report(tmp_path, tiny_model, DataLoader(faces, batch_size=3))
    sheet = np.asarray(Image.open(tmp_path / "validation" / "worst_faces.png").convert("RGB"))
    assert np.unique(sheet.reshape(-1, 3), axis=0).shape[0] > 1000
