"""Landmarks of one's own train as the documentation says: other ids, few points, no contours, no rigid shape."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch_geometric.loader import DataLoader

from pyspiga_geo import SPIGA, FaceAligner, FaceData, Layout, register_layout
from pyspiga_geo.data import FaceRecord, write_records
from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.layouts import BUILT_IN, registry
from pyspiga_geo.training import AugmentationConfig, StageConfig, TrainConfig

pytest.importorskip("lightning")
from lightning.pytorch import Trainer

from pyspiga_geo.training import run
from pyspiga_geo.training.report import write_report
from pyspiga_geo.training.run import run_training
from pyspiga_geo.training.stages import CascadeStage

pytestmark = pytest.mark.usefixtures("unpainted")

SIZE = 48
SHAPE = np.array([(0.0, 0.5, -0.5), (0, -0.5, -0.5), (0.6, 0, 0), (0.2, 0.3, 0.5), (0.2, -0.3, 0.5)])
FIVE: dict[str, Any] = {"ids": (201, 202, 203, 204, 205), "shape3d": SHAPE, "normaliser": (201, 202)}
THREE: dict[str, Any] = {
    "ids": (1, 2, 3), "flip": (1, 0, 2), "contours": {"all": (0, 1, 2)}, "shape3d": SHAPE[:3]
}  # fmt: skip
TINY: dict[str, Any] = {
    "image_size": 32, "channels": 8, "num_stacks": 1, "depth": 1, "node_channels": 8, "hidden_channels": 8,
    "heads": 2, "num_layers": 1, "num_steps": 1,
}  # fmt: skip
BOX, LANDMARKS = "sqrt(w h) of the landmarks' box", "the distance of landmarks 201 and 202"


def write_faces(folder: Path, ids: tuple[int, ...]) -> Path:
    """Ten pictures of dots, where the first landmarks of the shape are seen."""
    rng = np.random.default_rng(0)
    records = []
    for index in range(10):
        pose = torch.tensor([*rng.uniform(-30, 30, 2), 0, 0, 0, 3.0], dtype=torch.float64)
        seen = project(torch.tensor(SHAPE), pose, camera_matrix(SIZE, dtype=torch.float64)).numpy()[: len(ids)]
        pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
        x, y = seen.round().astype(int).clip(0, SIZE - 1).T
        pixels[y, x] = 255
        Image.fromarray(pixels).save(folder / f"{index}.png")
        box = (*seen.min(axis=0), *np.ptp(seen, axis=0))
        records.append(FaceRecord(f"{index}.png", box, ids, seen, np.ones(len(ids))))
    write_records(folder / "train.json", records)
    return folder / "train.json"


def short(config: TrainConfig) -> TrainConfig:
    """The same with a tiny model and one epoch of all parts together."""
    none = StageConfig(epochs=0, lr=1e-3)
    return replace(
        config,
        model=TINY | config.model,
        validation_fraction=0.3,
        batch_size=7,
        workers=0,
        landmarks=none,
        pose=none,
        cascade=none,
        joint=replace(none, epochs=1),
        augmentation=AugmentationConfig(degrees=10, occlusion=0, blur=0),
    )


def train(folder: Path, layout: Layout, **more: Any) -> tuple[SPIGA, str, set[str]]:
    """The model, the report and what the last stage has measured, of one epoch a stage."""
    annotations = write_faces(folder, tuple(layout.ids))
    config = short(TrainConfig(annotations, folder / "run", layout=layout.name, model=more))
    weights = run_training(config)
    with (config.out / "joint" / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
        measured = {name for row in csv.DictReader(file) for name, value in row.items() if value}
    page = config.out / "validation" / "report.md"
    report = (config.out / "report.md").read_text() + (page.read_text() if page.exists() else "")
    assert "nan" not in report
    FaceAligner(weights)(torch.rand(3, 60, 60), [[10, 10, 40, 40]])
    return SPIGA.from_pretrained(weights), report, measured


@pytest.fixture(autouse=True)
def _own_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_LAYOUTS", {layout.name: layout for layout in BUILT_IN})


@pytest.mark.parametrize(
    ("parts", "model", "pose", "unit"),
    [
        (FIVE | {"contours": {}}, {}, True, LANDMARKS),
        (THREE | {"shape3d": None, "mean_shape": SHAPE[:3, 1:]}, {"start": "mean"}, False, BOX),
    ],
    ids=["no contours", "three points without a rigid shape"],
)
@pytest.mark.filterwarnings("ignore:layout 'mine' has no mirror order")
def test_own_landmarks_train(
    parts: dict[str, Any], model: dict[str, Any], pose: bool, unit: str, tmp_path: Path
) -> None:
    layout = register_layout(Layout("mine", **parts))
    trained, report, measured = train(tmp_path, layout, **model)
    assert trained.layout == layout
    assert f"3 faces, errors in percent of {unit}" in report
    assert {"val/nme_initial", "val/nme_heatmaps", "val/nme_step1"} <= measured
    assert ("val/pose_mae" in measured) == ("## Head pose" in report) == pose


def programs(page: str) -> list[str]:
    """The Python programs of a page of the documentation."""
    text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_documented_programs_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the size of the model and the number of epochs, on a folder of five points."""
    (tmp_path / "mine").mkdir()
    write_faces(tmp_path / "mine", (201, 202, 203, 204, 205))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "run_training", lambda config: run_training(short(config)))
    (program,) = (text for text in programs("training.md") if "run_training" in text)
    exec(program, {})
    trained = SPIGA.from_pretrained("runs/mine/model.safetensors")
    assert trained.layout.ids == (201, 202, 203, 204, 205)
    assert "Head pose" in Path("runs/mine/validation/report.md").read_text()
    for program in programs("layouts.md"):
        exec(program, {})
    assert registry.get_layout("mine") == trained.layout


def test_what_cannot_be_measured_is_not(tmp_path: Path) -> None:
    """Two landmarks at one height have no box."""
    layout = Layout("mine", (201, 202), flip=(1, 0), shape3d=SHAPE[:2])
    model = SPIGA.from_preset("compact", layout, **TINY).eval()
    pos = torch.tensor([[0.3, 0.5], [0.7, 0.5]])
    face = FaceData(image=torch.rand(3, 32, 32), pos=pos, mask=torch.ones(2, dtype=torch.bool), imgpath="a.png")
    face.crop, face.bbox = torch.eye(3), torch.tensor([0.0, 0, 30, 30])
    page = write_report(tmp_path, model, DataLoader([face, face], batch_size=2))
    assert f"No validation face has {BOX}" in page.read_text()
    stage = CascadeStage(model, TrainConfig(tmp_path, tmp_path), StageConfig(epochs=1, lr=1e-3))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", default_root_dir=tmp_path, **quiet)
    assert trainer.validate(stage, DataLoader([face, face], batch_size=2), verbose=False) == [{}]
