"""Features, trainings and table of compare_gcn_gat.py."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from ablation.cells import Cell, twin
from ablation.difference import compare_trainings
from ablation.features import Features, Seen, annotated_faces, drawn_faces, load
from ablation.table import as_text, conditions, make_rows, write_csv
from ablation.train import Result, Settings, mean_shape, read_result, read_results, result_path, run_cell
from safetensors.torch import save_file

from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.data import FaceRecord, write_records

LAYOUT = get_layout("ibug68")


@pytest.fixture(scope="module")
def weights(tiny_model: SPIGA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny_model.save(path)
    return str(path)


@pytest.fixture(scope="module")
def features(tiny_model: SPIGA, tmp_path_factory: pytest.TempPathFactory) -> Features:
    return Features(tiny_model, drawn_faces(tiny_model, 5, 4), 2, tmp_path_factory.mktemp("features"))


def test_features_are_what_the_backbone_sees(tiny_model: SPIGA, features: Features):
    training, evaluation = features.paths()
    assert [len(load(path).pos) for path in (*training, *evaluation.values())] == [5, 5, 4, 4]
    clear, occluded = (load(path) for path in evaluation.values())
    assert clear.feature_map.dtype == clear.heatmaps.dtype == torch.float16
    assert torch.equal(clear.pos, occluded.pos)
    hidden = (clear.visible > 0) & (occluded.visible == 0)
    assert hidden.any(dim=1).all()
    assert not hidden.all(dim=1).any()
    first, second = (load(path) for path in training)
    assert not torch.equal(first.pos, second.pos)
    some = clear.rows(torch.tensor([2, 0]))
    assert some.feature_map.dtype == torch.float32
    assert torch.equal(some.initial, clear.initial[[2, 0]])
    assert torch.equal(some.feature_map[0], clear.feature_map[2].float())


def test_features_are_kept_and_named_after_what_they_depend_on(tiny_model: SPIGA, features: Features):
    paths = sorted(features.folder.iterdir())
    before = [path.stat().st_mtime_ns for path in paths]
    again = Features(tiny_model, drawn_faces(tiny_model, 5, 4), 2, features.folder)
    assert again.key == features.key
    assert [path.stat().st_mtime_ns for path in sorted(features.folder.iterdir())] == before
    assert Features(tiny_model, drawn_faces(tiny_model, 6, 4), 1, features.folder).key != features.key
    other = SPIGA(tiny_model.config, tiny_model.layout).eval()
    assert Features(other, drawn_faces(other, 5, 4), 1, features.folder).key != features.key


def test_annotated_faces_are_split_by_group(tiny_model: SPIGA, tmp_path):
    records = [
        FaceRecord(
            f"{number}.png", (0, 0, 9, 9), LAYOUT.ids, np.ones((68, 2)), np.ones(68), group=str(number // 2)
        )
        for number in range(40)
    ]
    write_records(tmp_path / "train.json", records)
    write_records(tmp_path / "test.json", records[:3])
    held_out = annotated_faces(tiny_model, tmp_path, test=False)
    training, evaluation = (faces(None).records for faces in (held_out.training, held_out.evaluation))
    assert len(training) == 34
    assert len(evaluation) == 6
    assert not {record.group for record in training} & {record.group for record in evaluation}
    tested = annotated_faces(tiny_model, tmp_path, test=True)
    assert len(tested.evaluation(None)) == 3
    assert [face.imgpath for face in tested.training(None).records] == [face.imgpath for face in training]
    assert tested.description != held_out.description


def test_mean_shape_leaves_out_what_is_not_known():
    pos = torch.tensor([[[0.2, 0.4], [0.9, 0.9]], [[0.4, 0.8], [0.5, 0.5]]])
    mask = torch.tensor([[True, False], [True, True]])
    seen = Seen(*[torch.empty(0)] * 3, pos, mask, mask.float())
    assert torch.allclose(mean_shape([seen]), torch.tensor([[0.3, 0.6], [0.5, 0.5]]))


SETTINGS = Settings(epochs=2, batch_size=4, channels=8, num_layers=1)


def test_a_cell_is_the_same_from_the_same_seed_and_another_from_another(
    weights: str, features: Features, tmp_path
):
    found = []
    for number, seed in enumerate((0, 0, 1)):
        path = tmp_path / str(number) / "result.safetensors"
        run_cell(
            path, Cell(start="mean", heatmaps=True), seed, SETTINGS, *features.paths(), weights, threads=1
        )
        found.append(read_result(path))
    first, again, other = found
    assert first.errors.keys() == {"clear", "occluded"}
    assert first.errors["clear"].shape == (4, 68)
    assert first.errors["clear"].isfinite().all()
    assert torch.equal(first.errors["clear"], again.errors["clear"])
    assert not torch.equal(first.errors["clear"], other.errors["clear"])
    assert not torch.equal(first.errors["clear"], first.errors["occluded"])
    assert first.parameters > 0
    assert first.milliseconds > 0


def test_results_are_named_after_what_they_depend_on(tmp_path):
    paths = {
        result_path(tmp_path, cell, seed, settings, key)
        for cell in (Cell(), Cell("none"))
        for seed in (0, 1)
        for settings in (SETTINGS, replace(SETTINGS, epochs=3), replace(SETTINGS, lr=1e-3))
        for key in ("a", "b")
    }
    assert len(paths) == 24


def test_all_trainings_without_a_gap_count(tmp_path):
    for seed in (0, 1, 3):
        path = result_path(tmp_path, Cell(), seed, SETTINGS, "key")
        save_file({"clear": torch.full((1, 68), float(seed))}, path, {"parameters": "1", "milliseconds": "1"})
    found = read_results(tmp_path, Cell(), SETTINGS, "key")
    assert [result.errors["clear"][0, 0].item() for result in found] == [0, 1]


def test_table_of_known_errors(tiny_model: SPIGA, features: Features, tmp_path):
    clear, occluded = (load(path) for path in features.paths()[1].values())
    groups = conditions(clear, occluded, tiny_model)
    assert groups["near start"][1].any(dim=1).sum() + groups["far start"][1].any(dim=1).sum() == 4
    assert not (groups["occluded: hidden"][1] & groups["occluded: in sight"][1]).any()
    yaw = sum(groups[name][1].any(dim=1).int() for name in groups if name.startswith("yaw"))
    assert torch.equal(yaw, torch.ones_like(yaw))  # every face is in one of them

    noise = torch.rand(4, 68)
    hidden = groups["occluded: hidden"][1]

    def result(error: float) -> Result:
        return Result(1000, 5.0, {"clear": error + noise, "occluded": error + noise + 3 * hidden})

    none = twin(Cell(), "none")
    rows = make_rows({Cell(): [result(2), result(3)], none: [result(4)], Cell(steps=1): [result(1)]}, groups)
    of = {(row.cell, row.condition): row for row in rows}
    base = of["attention", "all"]
    assert base.nme == pytest.approx(2.5 + noise.mean().item(), abs=1e-5)
    assert base.spread == pytest.approx(0.5**0.5, abs=1e-5)
    assert base.faces == 4
    assert base.versus_attention is None
    assert base.versus_none.difference == pytest.approx(-1.5, abs=1e-5)
    assert of["none", "all"].versus_attention.difference == pytest.approx(1.5, abs=1e-5)
    assert np.isnan(of["none", "all"].spread)
    single = of["attention: 1 step", "all"]
    assert single.versus_none is None  # there is no cell of one step without messages
    assert single.versus_base.difference == pytest.approx(-1.5, abs=1e-5)
    apart = of["attention", "occluded: hidden"].nme - of["attention", "occluded: in sight"].nme
    assert apart == pytest.approx(3, abs=0.5)

    write_csv(tmp_path / "table.csv", rows)
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * len(groups)
    assert lines[0]["cell"] == "attention"
    assert float(lines[0]["versus_none_difference"]) == pytest.approx(-1.5, abs=1e-3)
    assert lines[0]["versus_attention_difference"] == ""
    text = as_text(rows).splitlines()
    assert len(text) == 4
    assert text[2].startswith("none")
    assert "+1.500 [" in text[2]


def test_an_interval_holds_the_true_difference_as_often_as_it_says():
    generator = np.random.default_rng(0)
    held, trials = {1: 0, 3: 0}, 200

    def trainings(seeds: int) -> np.ndarray:
        """Errors with a part of each training's own, and one of each face under each training."""
        return generator.normal(size=(seeds, 1)) * 0.1 + generator.normal(size=(seeds, 100)) * 0.5

    for seeds in held:
        for _ in range(trials):
            low, high = compare_trainings(trainings(seeds) + 1, trainings(3)).interval
            held[seeds] += low <= 1 <= high
    assert 0.9 < held[3] / trials <= 1
    assert held[1] < held[3]  # a single training tells nothing of its spread


def test_a_difference_is_told_with_its_probabilities():
    generator = np.random.default_rng(0)
    faces = generator.normal(size=(1, 50))
    noise = [0.01 * generator.normal(size=(3, 50)) for _ in range(2)]
    found = compare_trainings(2 + faces + noise[0], 1.9 + faces + noise[1])
    assert found.difference == pytest.approx(0.1, abs=0.01)
    assert found.interval[0] < found.difference < found.interval[1]
    assert max(found.p_welch, found.p_permutation, found.p_wilcoxon) < 0.01
    same = compare_trainings(faces, faces)
    assert (same.difference, same.p_welch) == (0, 1)
