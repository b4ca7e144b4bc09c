"""What runs of training begin with: faces, and settings that take a second."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo import get_layout
from pyspiga_geo.data import FaceRecord, write_records
from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.training import StageConfig, TrainConfig

SIZE = 96


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Twenty faces of dots, and a model and stages that are small."""
    folder = tmp_path_factory.mktemp("faces")
    layout = get_layout("ibug68")
    rng = np.random.default_rng(0)
    records = []
    for index in range(20):
        pose = torch.tensor([*rng.uniform(-20, 20, 3), 0, 0, 5.0], dtype=torch.float64)
        points = project(torch.tensor(layout.shape3d), pose, camera_matrix(SIZE, dtype=torch.float64)).numpy()
        pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
        x, y = points.round().astype(int).clip(0, SIZE - 1).T
        pixels[y, x] = 255
        Image.fromarray(pixels).save(folder / f"{index}.png")
        low, high = points.min(axis=0), points.max(axis=0)
        box = (*low, *(high - low))
        records.append(FaceRecord(f"{index}.png", box, tuple(layout.ids), points, np.ones(68), None, str(index)))
    write_records(folder / "train.json", records)
    tiny = {
        "image_size": 32, "channels": 8, "num_stacks": 1, "depth": 1, "node_channels": 8, "hidden_channels": 8,
        "heads": 2, "num_layers": 1, "num_steps": 1,
    }  # fmt: skip
    once = StageConfig(epochs=1, lr=1e-3)
    return TrainConfig(
        folder / "train.json",
        folder / "run",
        model=tiny,
        batch_size=8,
        workers=0,
        landmarks=once,
        pose=once,
        cascade=once,
        joint=once,
    )


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Runs of this file draw no pictures, which take most of the time of a small one."""
    pytest.importorskip("lightning")
    from pyspiga_geo.training import run, stage

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "write_report", lambda folder, *_: (folder / "report.md").write_text("undrawn"))
        patch.setattr(stage.Stage, "_show", lambda *_: None)
        yield
