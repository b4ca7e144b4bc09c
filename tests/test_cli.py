"""The command line, above all what it says of bad input."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pyspiga_geo import SPIGA
from pyspiga_geo.cli import main
from pyspiga_geo.data import FaceRecord, read_records, write_records
from pyspiga_geo.evaluation import NORMALISERS
from pyspiga_geo.layouts import get_layout

BOX = ["--bbox", "30", "20", "50", "60"]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)).save(path)
    return path


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def one_sentence(err: str) -> bool:
    return err.count("\n") == 1 and err.startswith("pyspiga-geo: ") and "Traceback" not in err


def test_predict_writes_a_picture_and_a_record(capsys, tmp_path, weights, photo):
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, said, err = run(capsys, "predict", photo, *BOX, "--model", weights, "--out", out, "--json", records)
    assert (code, err) == (0, "")
    assert str(out / "photo.png") in said
    assert Image.open(out / "photo.png").width >= 1000
    (record,) = read_records(records)
    assert record.imgpath == str(photo)
    assert record.bbox == (30, 20, 50, 60)
    assert record.landmarks.shape == (68, 2)
    assert sorted(path.name for path in out.iterdir()) == ["photo.png"]


def test_two_boxes_are_two_faces_and_corners_are_boxes_too(capsys, tmp_path, weights, photo):
    records, corners = tmp_path / "faces.json", tmp_path / "corners.json"
    command = ("predict", photo, "--model", weights, "--out", tmp_path / "out")
    assert run(capsys, *command, *BOX, "--bbox", "5", "6", "70", "80", "--json", records)[0] == 0
    assert [record.bbox for record in read_records(records)] == [(30, 20, 50, 60), (5, 6, 70, 80)]
    code, _, _ = run(
        capsys, *command, "--bbox", "30", "20", "80", "80", "--bbox-format", "xyxy", "--json", corners
    )  # fmt: skip
    assert code == 0
    assert [record.bbox for record in read_records(corners)] == [(30, 20, 50, 60)]


def test_photos_of_one_name_do_not_overwrite_each_other(capsys, tmp_path, weights):
    from skimage.data import astronaut

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(astronaut()).save(tmp_path / folder / "x.png")
    code, _, _ = run(
        capsys,
        "predict",
        tmp_path / "a/x.png",
        tmp_path / "b/x.png",
        "--model",
        weights,
        "--out",
        tmp_path / "out",
    )
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.png", "x_2.png"]


def test_bad_images_are_named_and_the_others_are_done(capsys, tmp_path, weights):
    from skimage.data import astronaut

    good = tmp_path / "good.png"
    Image.fromarray(astronaut()).save(good)
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.png").write_bytes(good.read_bytes()[:5000])
    Image.fromarray(np.zeros((100, 100, 3), dtype=np.uint8)).save(tmp_path / "black.png")
    images = [
        tmp_path / "text.jpg",
        tmp_path / "half.png",
        tmp_path / "absent.png",
        "",
        tmp_path / "black.png",
        good,
    ]
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, said, err = run(capsys, "predict", *images, "--model", weights, "--out", out, "--json", records)
    assert code == 1
    complaints = err.splitlines()
    assert len(complaints) == 5
    for complaint, expected in zip(
        complaints,
        [
            "text.jpg: not a picture",
            "half.png: damaged or truncated",
            "absent.png: no such file",
            "an empty path",
            "black.png: no face found",
        ],
        strict=True,
    ):
        assert expected in complaint
        assert complaint.startswith("pyspiga-geo: ")
    assert "good.png: 1 face" in said
    assert [path.name for path in out.iterdir()] == ["good.png"]
    assert [record.imgpath for record in read_records(records)] == [str(good)]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (["10", "10", "0", "5"], "no size"),
        (["500", "10", "5", "5"], "outside of the picture"),
        (["-99", "-99", "20", "20"], "outside of the picture"),
    ],
)
def test_impossible_boxes(capsys, tmp_path, weights, photo, box, reason):
    out, records = tmp_path / "out", tmp_path / "faces.json"
    code, _, err = run(capsys, "predict", photo, "--bbox", *box, "--model", weights, "--out", out, "--json", records)
    assert code == 1
    assert one_sentence(err)
    assert reason in err
    assert not out.exists()
    assert not records.exists()


def test_a_box_goes_with_one_image(capsys, tmp_path, weights, photo):
    code, _, err = run(capsys, "predict", photo, photo, *BOX, "--model", weights, "--out", tmp_path / "out")
    assert code == 1
    assert one_sentence(err)


class _Payload:
    """A pickle that makes a file when it is opened carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["absent", "text", "pickle", "other", "truncated"])
def test_bad_weights(capsys, tmp_path, weights, photo, kind):
    bad, trap = tmp_path / "bad.safetensors", tmp_path / "trap"
    if kind == "text":
        bad.write_text("hello")
    elif kind == "pickle":
        bad.write_bytes(pickle.dumps(_Payload(trap)))
    elif kind == "other":
        save_file({"layer.weight": torch.zeros(3)}, bad)
    elif kind == "truncated":
        bad.write_bytes(weights.read_bytes()[:-1000])
    code, _, err = run(capsys, "predict", photo, *BOX, "--model", bad, "--out", tmp_path / "out")
    assert code == 1
    assert one_sentence(err)
    assert "bad.safetensors" in err
    assert not trap.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["absent", "text", "pickle", "other", "list"])
def test_convert_refuses_what_is_no_reference(capsys, tmp_path, kind):
    bad, trap, out = tmp_path / "bad.pt", tmp_path / "trap", tmp_path / "out.safetensors"
    if kind == "text":
        bad.write_text("hello")
    elif kind == "pickle":
        torch.save({"weight": _Payload(trap)}, bad)
    elif kind == "other":
        torch.save({"layer.weight": torch.zeros(3)}, bad)
    elif kind == "list":
        torch.save([torch.zeros(3)], bad)
    code, _, err = run(capsys, "convert", bad, out)
    assert code == 1
    assert one_sentence(err)
    assert "bad.pt" in err
    assert not trap.exists()
    assert not out.exists()


@pytest.fixture
def annotated(capsys, tmp_path, weights, photo):
    """A folder with an annotated photo: the model's own landmarks, moved by a little."""
    path = tmp_path / "truth.json"
    run(capsys, "predict", photo, *BOX, "--model", weights, "--out", tmp_path / "out", "--json", path)
    entries = json.loads(path.read_text())
    entries[0]["imgpath"] = "photo.png"
    entries[0]["landmarks"] = [[x + 1, y] for x, y in entries[0]["landmarks"]]
    path.write_text(json.dumps(entries))
    return path


def test_evaluate_runs_a_model(capsys, tmp_path, weights, annotated):
    figures, predictions = tmp_path / "figures.json", tmp_path / "predictions.json"
    code, said, _ = run(
        capsys, "evaluate", "--model", weights, "--images", tmp_path, "--annotations", annotated,
        "--json", figures, "--predictions-out", predictions,
    )  # fmt: skip
    assert code == 0
    assert "1 faces" in said
    measured = json.loads(figures.read_text())
    assert {"faces", "nme", "auc", "fr", "nme_p90", "nme_p95", "nme_p99", "pose_mae"} <= set(measured)
    truth = read_records(annotated)[0].landmarks
    corners = np.linalg.norm(truth[36] - truth[45])
    assert measured["nme"] == pytest.approx(100 / corners, rel=1e-3)
    again = run(capsys, "evaluate", "--predictions", predictions, "--annotations", annotated)
    assert again[0] == 0
    assert f"NME {measured['nme']:.4f}" in again[1]


def test_evaluate_divides_by_what_the_layout_of_the_model_says(capsys, tmp_path, tiny_model, annotated):
    """The layout comes with the weights and is not registered; `--norm` replaces what it says."""
    layout = replace(tiny_model.layout, name="own", ids=range(201, 269), normaliser=(201, 217))
    model = SPIGA.from_config(tiny_model.config, layout)
    model.save(tmp_path / "own.safetensors")
    entries = json.loads(annotated.read_text())
    annotated.write_text(json.dumps([{**entries[0], "ids": list(layout.ids)}]))
    for norm, text in ((), "landmarks 201 and 217"), (("--norm", "237,246"), "landmarks 237 and 246"):
        code, said, _ = run(
            capsys, "evaluate", "--model", tmp_path / "own.safetensors", "--images", tmp_path,
            "--annotations", annotated, *norm, "--report", tmp_path / "report",
        )  # fmt: skip
        assert code == 0
        assert f"1 faces, errors in percent of the distance of {text}" in said
        assert "| jaw " in said
        assert (tmp_path / "report" / "worst_faces.png").is_file()
    for norm in ("eyes", "7,", "1,2,3"):
        code, _, err = run(capsys, "evaluate", "--predictions", annotated, "--annotations", annotated, "--norm", norm)
        assert code == 1
        assert one_sentence(err)
        assert "--norm must be one of corners, pupils, " in err


def test_evaluate_says_what_it_needs(capsys, tmp_path, weights, annotated):
    for arguments in ([], ["--model", weights], ["--model", weights, "--predictions", annotated]):
        code, _, err = run(capsys, "evaluate", *arguments, "--annotations", annotated)
        assert code == 1
        assert one_sentence(err)


def test_evaluate_names_a_missing_picture_and_a_mismatch(capsys, tmp_path, weights, annotated):
    (tmp_path / "empty").mkdir()
    code, _, err = run(
        capsys, "evaluate", "--model", weights, "--images", tmp_path / "empty", "--annotations", annotated
    )
    assert code == 1
    assert "photo.png: no such file" in err
    other = tmp_path / "other.json"
    write_records(other, read_records(annotated) * 2)
    code, _, err = run(capsys, "evaluate", "--predictions", other, "--annotations", annotated)
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


def test_evaluate_lays_methods_side_by_side(capsys, records):
    truth, ours, theirs = (records / f"{name}.json" for name in ("truth", "ours", "theirs"))
    files = ("--predictions", ours, "--annotations", truth, "--subsets", records / "subsets.json")
    code, said, err = run(
        capsys, "evaluate", *files, "--norm", "height", "--threshold", "7", "--compare", theirs,
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


def test_evaluate_names_what_does_not_fit(capsys, records):
    truth, ours = records / "truth.json", records / "ours.json"
    broken = records / "broken.json"
    entries = json.loads(ours.read_text())

    def refused(*arguments):
        outputs = ("--json", records / "figures.json", "--report", records / "report")
        code, said, err = run(capsys, "evaluate", *arguments, *outputs)
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
    code, _, err = run(capsys, "evaluate", *usual, "--images", records)
    assert code == 1
    assert "--images goes with --model, or with --report" in err


def test_evaluate_prints_the_published_figures(capsys, shared, tmp_path):
    folder = shared / "evaluation" / "300wprivate"
    code, said, _ = run(
        capsys, "evaluate",
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


def test_train_names_bad_annotations(capsys, tmp_path):
    (tmp_path / "bad.json").write_text("not json")
    code, _, err = run(capsys, "train", "--annotations", tmp_path / "bad.json", "--out", tmp_path / "run")
    assert code == 1
    assert one_sentence(err)
    assert "bad.json" in err


def test_bad_faces_stop_training_and_evaluation_or_are_left_out(capsys, tmp_path, weights, annotated):
    entries = json.loads(annotated.read_text())
    annotated.write_text(json.dumps([*entries, {**entries[0], "imgpath": "lost.png"}]))
    evaluate = ("evaluate", "--model", weights, "--images", tmp_path, "--annotations", annotated)
    for arguments in (evaluate, ("train", "--annotations", annotated, "--out", tmp_path / "run")):
        code, _, err = run(capsys, *arguments)
        assert code == 1
        assert f"{annotated}: record 1: {tmp_path / 'lost.png'}: no such file" in err
    assert not list((tmp_path / "run").rglob("*.ckpt"))
    lost = tmp_path / "lost.json"
    lost.write_text(json.dumps([{**entries[0], "imgpath": "lost.png"}]))
    code, _, err = run(capsys, "train", "--annotations", lost, "--out", tmp_path / "run", "--skip-bad")
    assert code == 1
    assert "no face to work with" in err
    code, said, _ = run(capsys, *evaluate, "--skip-bad")
    assert code == 0
    assert "1 bad faces are left out, 1 remain" in said
    assert "1 faces, errors in percent" in said
    code, _, err = run(capsys, "evaluate", "--predictions", annotated, "--annotations", annotated, "--skip-bad")
    assert code == 1
    assert "--skip-bad goes with --model" in err


def test_wrong_usage_exits_with_two(capsys):
    assert run(capsys, "predict")[0] == 2
    assert run(capsys, "dance")[0] == 2


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_needs_nothing_heavy(argument):
    """PyTorch and its like take seconds to import."""
    program = (
        "import sys\nfrom pyspiga_geo.cli import main\n"
        f"try:\n    main([{argument!r}])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'torch_geometric', 'lightning', 'matplotlib', 'cv2', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_help_names_every_normaliser(capsys):
    _, said, _ = run(capsys, "evaluate", "--help")
    assert ", ".join(NORMALISERS) in " ".join(said.split())


@pytest.mark.parametrize("group", ["landmarks", "pose", "cascade", "joint", "uncertainty", "loss", "augmentation"])
@pytest.mark.parametrize("form", ["--{} trap.X", "--{}=trap.X", "--{}.class_path trap.X", "--{}.class_path=trap.X"])
def test_no_argument_imports_a_module(capsys, tmp_path, monkeypatch, group, form):
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass X: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = run(
        capsys, "train", "--annotations", tmp_path / "a.json", "--out", tmp_path / "out", *form.format(group).split()
    )
    assert code == 1
    assert one_sentence(err)
    assert group in err
    assert not (tmp_path / "sprung").exists()
