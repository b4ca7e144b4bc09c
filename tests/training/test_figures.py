"""Figures that a run reports: those that ``evaluate`` gives."""

import csv

import pytest
import torch

from pyspiga_geo.layouts import get_layout
from pyspiga_geo.training import StageConfig, TrainConfig, report, stages

POSE = torch.tensor([[179.0, 10, 0, 0, 0, 3]])
TRUE_POSE = torch.tensor([[-179.0, 7, 1, 0, 0, 3]])


def test_the_report_measures_angles_round_the_circle():
    (line,) = report._pose_lines(POSE, TRUE_POSE)
    assert "yaw 2.00, pitch 3.00, roll 1.00" in line


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


@pytest.mark.parametrize("count", [1, 3, 6, 20])
def test_no_face_is_among_the_best_and_the_worst(count, tiny_model, tmp_path, monkeypatch):
    layout = get_layout("ibug68")
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(count, len(layout), 2, generator=generator)
    seen = {
        "images": torch.arange(count)[:, None, None, None].expand(count, 3, 8, 8),
        "truth": truth,
        "pose": POSE.expand(count, 6),
        "step 1": truth + torch.linspace(0.01, 0.2, count)[:, None, None],
    }
    shown = []
    monkeypatch.setattr(report, "_predict", lambda *_: dict(seen))
    monkeypatch.setattr(report, "face_sheet", lambda images, *_: shown.extend(images[:, 0, 0, 0].tolist()))
    monkeypatch.setattr(report, "save_figure", lambda *_: None)
    report._measure(tmp_path, tiny_model, None)
    assert len(shown) == len(set(shown)) == min(count, 12)
