import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.models import make_config
from pyspiga_geo.training import TrainConfig

pytest.importorskip("lightning")
from pyspiga_geo.training.data import FaceDataModule, _end_if_orphaned

MODEL = make_config("compact", image_size=64)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Six faces as .pts files beside their pictures."""
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 256, (80, 80, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows = "\n".join(f"{x:.3f} {y:.3f}" for x, y in rng.uniform(20, 60, (68, 2)))
        (folder / f"{number}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    return TrainConfig(
        folder, tmp_path / "run", dataset="pts", split="all", validation_fraction=0.5, batch_size=2, workers=0
    )


def test_faces_of_a_published_dataset(config):
    data = FaceDataModule(config, MODEL)
    names = [*(r.imgpath for r in data.training.records), *(r.imgpath for r in data.validation.records)]
    assert sorted(names) == [f"{number}.png" for number in range(6)]
    assert len(data.validation) == 3
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 3, 64, 64)
    assert set(batch.imgpath) < set(names)


def test_a_folder_of_no_named_dataset(config):
    with pytest.raises(ValueError, match=r"faces is a folder: `dataset` must say .* wflw, 300w,"):
        FaceDataModule(replace(config, dataset=None), MODEL)


def test_processes_share_the_validation_faces_and_have_as_many(config, monkeypatch):
    seen = []
    for rank in range(2):
        data = FaceDataModule(config, MODEL)
        monkeypatch.setattr(FaceDataModule, "_share", (2, rank))
        seen.append([name for batch in data.val_dataloader() for name in batch.imgpath])
        assert len(data.train_dataloader()) == 1  # three faces: one for each process, and one that waits
    whole = [name for batch in data.whole_validation() for name in batch.imgpath]
    assert [seen[0][0], seen[1][0], seen[0][1]] == whole
    assert seen[1][1] == whole[0]


def test_a_loader_process_ends_if_its_run_is_gone(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    for run in (None, SimpleNamespace(is_alive=lambda: True)):
        monkeypatch.setattr(multiprocessing, "parent_process", lambda run=run: run)
        _end_if_orphaned(0)
    assert not ended
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(is_alive=lambda: False))
    _end_if_orphaned(0)
    assert ended == [1]
