"""Trainings of cells, and the files they leave."""

from dataclasses import replace
from pathlib import Path

import torch
from ablation.cells import Cell
from ablation.features import Features, Seen, synthetic_faces
from ablation.results import Result, Settings, read_result, read_results, result_path, write_result
from ablation.train import mean_shape, run_cell

from pyspiga_geo import SPIGA

SETTINGS = Settings(epochs=2, batch_size=4, channels=8, num_layers=1, head_epochs=1)


def test_mean_shape_leaves_out_what_is_not_known():
    pos = torch.tensor([[[0.2, 0.4], [0.9, 0.9]], [[0.4, 0.8], [0.5, 0.5]]])
    mask = torch.tensor([[True, False], [True, True]])
    seen = Seen(*[torch.empty(0)] * 4, pos, mask, mask.float())
    assert torch.allclose(mean_shape([seen]), torch.tensor([[0.3, 0.6], [0.5, 0.5]]))
    assert not mean_shape([seen._replace(mask=torch.zeros_like(mask))]).any()


def test_a_cell_is_the_same_from_the_same_seed_and_another_from_another(
    tiny_model: SPIGA, features: Features, tmp_path: Path
):
    weights = tmp_path / "tiny.safetensors"
    tiny_model.save(weights)
    cell = Cell(start="mean", heatmaps=True)
    found = []
    for number, seed in enumerate((0, 0, 1)):
        path = tmp_path / str(number) / "result.safetensors"
        run_cell(path, cell, seed, SETTINGS, features, str(weights), threads=1)
        found.append(read_result(path))
        assert list(path.parent.iterdir()) == [path]
    first, again, other = found
    assert first.errors.keys() == {"clear", "occluded"}
    assert first.errors["clear"].shape == (4, 68)
    assert first.errors["clear"].isfinite().all()
    assert torch.equal(first.errors["clear"], again.errors["clear"])
    assert not torch.equal(first.errors["clear"], other.errors["clear"])
    assert not torch.equal(first.errors["clear"], first.errors["occluded"])
    assert torch.equal(first.surprises["occluded"], again.surprises["occluded"])
    assert first.surprises["occluded"].isfinite().all()
    assert first.parameters > 0
    assert first.milliseconds > 0


def test_backbones_may_have_maps_of_other_sizes(tmp_path: Path):
    options = {"channels": [12, 8], "heatmap_stride": 8}
    model = SPIGA.from_preset("compact", image_size=64, backbone="encoder_decoder", backbone_options=options)
    model.save(tmp_path / "weights.safetensors")
    features = Features.compute(model, synthetic_faces(model, 4, 2), 1, tmp_path)
    path = tmp_path / "result.safetensors"
    run_cell(path, Cell(steps=1), 0, replace(SETTINGS, epochs=1), features, str(tmp_path / "weights.safetensors"), 1)
    assert read_result(path).errors["clear"].shape == (2, 68)


def test_results_are_named_after_what_they_depend_on(tmp_path: Path):
    paths = {
        result_path(tmp_path, cell, seed, settings, key)
        for cell in (Cell(), Cell("none"))
        for seed in (0, 1)
        for settings in (SETTINGS, replace(SETTINGS, epochs=3), replace(SETTINGS, lr=1e-3))
        for key in ("a", "b")
    }
    assert len(paths) == 24


def test_results_of_earlier_runs_are_found():
    path = result_path(Path(), Cell(looking=4, steps=1), 2, Settings(6, 16), "0a1b")
    assert path.name == "attention__1_step__1_in_4_looks-seed2-6-16-64-2-0.002-3-0a1b.safetensors"


def test_all_trainings_without_a_gap_count(tmp_path: Path):
    for seed in (0, 1, 3):
        path = result_path(tmp_path, Cell(), seed, SETTINGS, "key")
        values = {"clear": torch.full((1, 68), float(seed))}
        write_result(path, Result(1, 1.0, values, {"clear": -values["clear"]}))
    found = read_results(tmp_path, Cell(), SETTINGS, "key")
    assert [result.errors["clear"][0, 0].item() for result in found] == [0, 1]
    assert [result.surprises["clear"][0, 0].item() for result in found] == [0, -1]
