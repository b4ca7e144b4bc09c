"""The benchmarks of a trained model, on a few synthetic faces and an untrained one."""

import argparse
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import robustness
import torch
import uncertainty
import views
from faces import add_face_arguments, crops, load, true_positions
from PIL import Image

from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.data import FaceRecord, SyntheticFaces, write_records
from pyspiga_geo.data.transforms import RandomOcclusion
from pyspiga_geo.data.transforms.occluders import OCCLUDERS

FACES = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, tiny_model: SPIGA) -> list[str]:
    """Arguments that name a model with a head, and annotated pictures."""
    folder, layout = tmp_path_factory.mktemp("faces"), get_layout("ibug68")
    records = []
    for number, face in enumerate(SyntheticFaces(layout, FACES, size=96)):
        Image.fromarray((255 * face.image.permute(1, 2, 0)).byte().numpy()).save(folder / f"{number}.png")
        box = tuple(face.bbox.tolist())
        records.append(FaceRecord(f"{number}.png", box, tuple(layout.ids), face.pos.double().numpy(), np.ones(68)))
    write_records(folder / "faces.json", records)
    tiny_model.with_uncertainty().save(folder / "sure.safetensors")
    return ["--model", str(folder / "sure.safetensors"), "--annotations", str(folder / "faces.json"), "--threads", "1"]


def run(module, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["benchmark", *arguments])
    threads = torch.get_num_threads()
    module.main()
    torch.set_num_threads(threads)
    return capsys.readouterr().out


def test_uncertainty(files, tmp_path, monkeypatch, capsys) -> None:
    out = run(uncertainty, monkeypatch, capsys, *files, "--draws", "1", "--json", str(tmp_path / "a.json"))
    figures = json.loads((tmp_path / "a.json").read_text())
    assert list(figures["crops"]) == ["plain", *OCCLUDERS, "all kinds"]
    every = figures["crops"]["all kinds"]
    assert set(every["nme"]) == {"heatmaps", "step 1", "step 2", "step 3"}
    assert 0 <= every["auroc"] <= 1
    assert 0 <= every["coverage"]["50"] <= every["coverage"]["80"] <= every["coverage"]["95"] <= 100
    assert figures["crops"]["plain"]["auroc"] is None
    low, high = figures["gain_on_hidden"]["interval"]
    assert low <= figures["gain_on_hidden"]["mean"] <= high
    for words in ("heatmaps", "step 3", "in 80 %", "AUROC", "border"):
        assert words in out
    again = run(uncertainty, monkeypatch, capsys, *files, "--draws", "1")
    assert again == out


def test_a_model_without_a_head_has_errors_alone(files, tmp_path, tiny_model, monkeypatch, capsys) -> None:
    tiny_model.save(tmp_path / "plain.safetensors")
    arguments = ["--model", str(tmp_path / "plain.safetensors"), *files[2:], "--draws", "1", "--faces", "2"]
    out = run(uncertainty, monkeypatch, capsys, *arguments)
    assert "2 faces" in out
    assert "AUROC" not in out


def test_robustness(files, tmp_path, monkeypatch, capsys) -> None:
    out = run(robustness, monkeypatch, capsys, *files, "--draws", "2", "--json", str(tmp_path / "b.json"))
    figures = json.loads((tmp_path / "b.json").read_text())
    assert list(figures) == ["plain", "box", "turned", "mirror"]
    assert figures["plain"]["movement"] == 0
    assert all(figures[name]["movement"] > 0 for name in ("box", "turned", "mirror"))
    assert out.count("\n") == 6


def arguments(files: list[str], validation: float | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_face_arguments(parser)
    return parser.parse_args([*files, "--validation", str(validation)] if validation else files)


def test_landmarks_that_follow_the_picture_do_not_move(files, monkeypatch) -> None:
    """A model that finds what is true in each crop, in the mirror too: only rounding moves it."""

    told: list[torch.Tensor] = []

    def remembered(*arguments, **options):
        for batch in crops(*arguments, **options):
            told.append(batch.pos.view(len(batch.image), -1, 2))
            yield batch

    class Perfect(torch.nn.Module):
        def __init__(self, model: SPIGA) -> None:
            super().__init__()
            self.config, self.layout = model.config, model.layout

        def forward(self, images):
            return SimpleNamespace(landmarks=told.pop())

    monkeypatch.setattr(robustness, "crops", remembered)
    model, faces = load(arguments(files))
    for name, row in robustness.measure(Perfect(model), faces, 1, 0).items():
        assert row["nme"] < 1e-3, name
        assert row["movement"] < 1e-3, name


def test_what_is_hidden_is_known(files) -> None:
    model, faces = load(arguments(files, validation=0.4))
    assert 0 < len(faces) < FACES
    (batch,) = crops(model, faces, after=RandomOcclusion(64, (0.9, 0.9)))
    assert (batch.visible == 0).any()
    assert true_positions(batch).shape == (len(faces), 68, 2)


def test_views(files, tmp_path, monkeypatch, capsys) -> None:
    out = run(views, monkeypatch, capsys, *files, "--draws", "1", "--json", str(tmp_path / "a.json"))
    figures = json.loads((tmp_path / "a.json").read_text())
    assert list(figures) == ["1", "2", "4"]
    for row in figures.values():
        assert row["nme"] > 1
        assert row["box"] > 0
        assert row["mirror"] > 0
    for words in ("views", "mirror", f"{FACES} faces"):
        assert words in out


def test_views_of_landmarks_without_a_mirror_order(files) -> None:
    model, faces = load(arguments(files))
    model.layout = replace(model.layout, name="own", flip=None)
    figures = views.measure(model, faces, draws=1, seed=0)
    assert list(figures) == ["1"]
    assert "mirror" not in figures["1"]
    assert "mirror" not in views.table(figures).splitlines()[1]
