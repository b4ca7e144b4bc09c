"""The command ``evaluate``."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pyspiga_geo import SPIGA
from pyspiga_geo.data import FaceRecord, read_records, write_records
from pyspiga_geo.layouts import get_layout

pytestmark = pytest.mark.usefixtures("unpainted")

BOX = ["--bbox", "30", "20", "50", "60"]


def one_sentence(err: str) -> bool:
    return err.count("\n") == 1 and err.startswith("pyspiga-geo: ") and "Traceback" not in err


@pytest.fixture
def annotated(run, tmp_path, weights, photo):
    """A folder with an annotated photo: the model's own landmarks, moved by a little."""
    path = tmp_path / "truth.json"
    run("predict", photo, *BOX, "--model", weights, "--json", path)
    entries = json.loads(path.read_text())
    entries[0]["imgpath"] = "own/photo.png"
    entries[0]["landmarks"] = [[x + 1, y] for x, y in entries[0]["landmarks"]]
    path.write_text(json.dumps(entries))
    return path


def test_evaluate_runs_a_model(run, tmp_path, weights, annotated):
    figures, predictions = tmp_path / "figures.json", tmp_path / "predictions.json"
    code, said, err = run(
        "evaluate", "--model", weights, "--images", tmp_path, "--annotations", annotated,
        "--json", figures, "--predictions-out", predictions,
    )  # fmt: skip
    assert (code, err) == (0, "")  # a progress bar is for a terminal
    assert "1 faces" in said
    measured = json.loads(figures.read_text())
    assert {"faces", "nme", "auc", "fr", "nme_p90", "nme_p95", "nme_p99", "pose_mae"} <= set(measured)
    truth = read_records(annotated)[0].landmarks
    corners = np.linalg.norm(truth[36] - truth[45])
    assert measured["nme"] == pytest.approx(100 / corners, rel=1e-3)
    again = run("evaluate", "--predictions", predictions, "--annotations", annotated)
    assert again[0] == 0
    assert f"NME {measured['nme']:.4f}" in again[1]


def test_evaluate_divides_by_what_the_layout_of_the_model_says(run, tmp_path, tiny_model, annotated):
    """The layout comes with the weights and is not registered; `--norm` replaces what it says."""
    layout = replace(tiny_model.layout, name="own", ids=range(201, 269), normaliser=(201, 217))
    model = SPIGA.from_config(tiny_model.config, layout)
    model.save(tmp_path / "own.safetensors")
    entries = json.loads(annotated.read_text())
    annotated.write_text(json.dumps([{**entries[0], "ids": list(layout.ids)}]))
    for norm, text in ((), "landmarks 201 and 217"), (("--norm", "237,246"), "landmarks 237 and 246"):
        code, said, _ = run(
            "evaluate", "--model", tmp_path / "own.safetensors", "--images", tmp_path,
            "--annotations", annotated, *norm, "--report", tmp_path / "report",
        )  # fmt: skip
        assert code == 0
        assert f"1 faces, errors in percent of the distance of {text}" in said
        assert "| jaw " in said
        assert (tmp_path / "report" / "worst_faces.png").is_file()
    for norm in ("eyes", "7,", "1,2,3"):
        code, _, err = run("evaluate", "--predictions", annotated, "--annotations", annotated, "--norm", norm)
        assert code == 1
        assert one_sentence(err)
        assert "--norm must be one of inter_ocular, pupils, " in err


def test_evaluate_says_what_it_needs(run, tmp_path, weights, annotated):
    for arguments in ([], ["--model", weights], ["--model", weights, "--predictions", annotated]):
        code, _, err = run("evaluate", *arguments, "--annotations", annotated)
        assert code == 1
        assert one_sentence(err)


def test_evaluate_names_a_missing_picture_and_a_mismatch(run, tmp_path, weights, annotated):
    (tmp_path / "empty").mkdir()
    code, _, err = run("evaluate", "--model", weights, "--images", tmp_path / "empty", "--annotations", annotated)
    assert code == 1
    assert "photo.png: no such file" in err
    other = tmp_path / "other.json"
    write_records(other, read_records(annotated) * 2)
    code, _, err = run("evaluate", "--predictions", other, "--annotations", annotated)
    assert code == 1
    assert one_sentence(err)


@pytest.fixture
def records(tmp_path):
    """Files of six true faces, of predictions and of worse ones, and of two subsets."""
    rng = np.random.default_rng(0)
    ids = tuple(get_layout("ibug68").ids)
    shape = rng.uniform(10, 90, (68, 2))
    for name, noise in (("truth", 0), ("ours", 1), ("theirs", 2)):
        faces = [
            FaceRecord(
                f"{number}.png",
                (0, 0, 100, 100),
                ids,
                shape + noise * rng.normal(size=shape.shape),
                np.ones(68),
                (15.0 * number + noise, 2.0 * noise, 0, 0, 0, 3),
            )
            for number in range(6)
        ]
        write_records(tmp_path / f"{name}.json", faces)
    (tmp_path / "subsets.json").write_text('{"test_subsets": {"first": [0, 1, 2], "odd": [1, 3, 5]}}')
    return tmp_path


def test_evaluate_lays_methods_side_by_side(run, records):
    truth, ours, theirs = (records / f"{name}.json" for name in ("truth", "ours", "theirs"))
    files = ("--predictions", ours, "--annotations", truth, "--subsets", records / "subsets.json")
    code, said, err = run(
        "evaluate", *files, "--norm", "height", "--threshold", "7", "--compare", theirs,
        "--json", records / "figures.json", "--report", records / "report",
    )  # fmt: skip
    assert (code, err) == (0, "")
    figures = json.loads((records / "figures.json").read_text())
    distance = [
        np.linalg.norm(one.landmarks - other.landmarks, axis=1).mean()
        for one, other in zip(read_records(ours), read_records(truth), strict=True)
    ]
    assert figures["per_face"] == pytest.approx(distance)  # boxes are 100 pixels high
    assert figures["nme"] == pytest.approx(np.mean(distance))
    assert figures["pose_mae"] == pytest.approx({"yaw": 1, "pitch": 2, "roll": 0, "mean": 1})
    assert figures["subsets"]["odd"]["nme"] == pytest.approx(np.mean(distance[1::2]))
    other = figures["compare"]["theirs"]
    assert other["difference"]["all"]["difference"] == pytest.approx(other["nme"] - figures["nme"])
    assert other["difference"].keys() == {"all", "first", "odd"}
    for text in (said, (records / "report" / "report.md").read_text(encoding="utf-8")):
        assert f"NME {figures['nme']:.4f}" in text
        assert f"{other['nme'] - figures['nme']:+.4f}" in text
        assert "| odd " in text
        assert "| jaw " in text
    assert str(records / "report" / "report.md") in said
    assert len(list((records / "report").glob("*.png"))) == 5


def test_evaluate_names_what_does_not_fit(run, records):
    truth, ours = records / "truth.json", records / "ours.json"
    broken = records / "broken.json"
    entries = json.loads(ours.read_text())

    def refused(*arguments):
        outputs = ("--json", records / "figures.json", "--report", records / "report")
        code, said, err = run("evaluate", *arguments, *outputs)
        assert (code, said) == (1, "")
        assert one_sentence(err)
        assert not (records / "figures.json").exists()
        assert not (records / "report").exists()
        return err

    for change, reason in (
        (entries[:-1], "there are 5 predictions for 6 annotations; without prediction: '5.png'"),
        (entries[::-1], "the same images in another order: face 0 is '5.png' and '0.png'"),
        (
            [*entries[:-1], {**entries[5], "imgpath": "x.png"}],
            "different images: face 5 is 'x.png' and '5.png'",
        ),
        ([{**entries[0], "landmarks": [None] * 68}, *entries[1:]], "lacks 68 annotated landmarks"),
    ):
        broken.write_text(json.dumps(change))
        for arguments in (("--predictions", broken), ("--predictions", ours, "--compare", broken)):
            err = refused(*arguments, "--annotations", truth)
            assert reason in err
            assert f"{broken} against {truth}" in err
    (records / "wrong.json").write_text('{"many": [6]}')
    usual = ("--predictions", ours, "--annotations", truth)
    assert "subset 'many' names face 6" in refused(*usual, "--subsets", records / "wrong.json")
    assert "is given twice" in refused(*usual, "--compare", ours)
    assert ".png: no such file" in refused(*usual, "--images", records)
    model = ("--model", "compact", "--images", records, "--annotations", truth, "--skip-bad")
    assert "does not go with --subsets" in refused(*model, "--subsets", records / "subsets.json")
    code, _, err = run("evaluate", *usual, "--images", records)
    assert code == 1
    assert "--images goes with --model, or with --report" in err


def test_evaluate_prints_the_published_figures(run, shared, tmp_path):
    folder = shared / "evaluation" / "300wprivate"
    code, said, _ = run(
        "evaluate",
        "--predictions", folder / "predictions.json", "--annotations", folder / "annotations.json",
        "--norm", "lnd_bbox", "--threshold", "7", "--subsets", shared / "layouts" / "300wprivate_db_info.json",
        "--json", tmp_path / "figures.json",
    )  # fmt: skip
    assert code == 0
    assert "600 faces, errors in percent of sqrt(w h) of the landmarks' box" in said
    assert "NME 2.0306   P90 2.7881   P95 3.0778   P99 3.8342" in said
    assert "AUC_7 71.008   FR_7 0.1667" in said
    assert "yaw 1.609, pitch 2.047, roll 0.956, mean 1.537" in said
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["pose_mae"] == pytest.approx(
        {"yaw": 1.60905, "pitch": 2.0467, "roll": 0.95556, "mean": 1.5371}, rel=1e-5
    )
    assert figures["subsets"]["indoor"]["nme"] == pytest.approx(2.034564559904317)
    assert figures["subsets"]["outdoor"]["auc"] == pytest.approx(71.05339689254487)


def test_bad_faces_stop_training_and_evaluation_or_are_left_out(run, tmp_path, weights, annotated):
    entries = json.loads(annotated.read_text())
    annotated.write_text(json.dumps([*entries, {**entries[0], "imgpath": "lost.png"}]))
    evaluate = ("evaluate", "--model", weights, "--images", tmp_path, "--annotations", annotated)
    for arguments in (evaluate, ("train", "--annotations", annotated, "--out", tmp_path / "run")):
        code, _, err = run(*arguments)
        assert code == 1
        assert f"{annotated}: record 1: {tmp_path / 'lost.png'}: no such file" in err
    assert not list((tmp_path / "run").rglob("*.ckpt"))
    lost = tmp_path / "lost.json"
    lost.write_text(json.dumps([{**entries[0], "imgpath": "lost.png"}]))
    code, _, err = run("train", "--annotations", lost, "--out", tmp_path / "run", "--skip-bad")
    assert code == 1
    assert "no usable face" in err
    code, said, _ = run(*evaluate, "--skip-bad")
    assert code == 0
    assert "1 bad faces are left out, 1 remain" in said
    assert "1 faces, errors in percent" in said
    code, _, err = run("evaluate", "--predictions", annotated, "--annotations", annotated, "--skip-bad")
    assert code == 1
    assert "--skip-bad goes with --model" in err
