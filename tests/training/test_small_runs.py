"""What runs start from, what they remember, and what they refuse."""

import json
import re
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch

from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.data import read_records, write_records
from pyspiga_geo.models import read_about
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training import StageConfig, TrainConfig

pytest.importorskip("lightning")
from pyspiga_geo.training.data import FaceDataModule
from pyspiga_geo.training.lending import lend_backbone, match_unit
from pyspiga_geo.training.run import run_training

pytestmark = pytest.mark.usefixtures("undrawn")


def trained(config: TrainConfig) -> dict[str, torch.Tensor]:
    return SPIGA.from_pretrained(run_training(config)).state_dict()


def test_another_seed_trains_other_weights(config, tmp_path):
    """That the same seed trains the same is seen by the runs that are interrupted."""
    skip = StageConfig(epochs=0, lr=1e-3)
    first, other = (
        trained(replace(config, out=tmp_path / str(seed), seed=seed, pose=skip, cascade=skip, joint=skip))
        for seed in (5, 6)
    )
    assert any(not torch.equal(other[name], value) for name, value in first.items())


def test_training_starts_from_weights(config, tmp_path, tiny_model, capsys):
    skip = StageConfig(epochs=0, lr=1e-3)
    first = tiny_model.with_uncertainty()
    first.save(tmp_path / "first.safetensors", about={"recipe": "by hand"})
    run = replace(
        config, out=tmp_path / "run", weights=str(tmp_path / "first.safetensors"),
        landmarks=skip, pose=skip, cascade=skip, joint=skip,
    )  # fmt: skip
    after, before = trained(run), first.state_dict()
    assert "the uncertainty head stays as it is" in capsys.readouterr().out
    about = read_about(run.out / "model.safetensors")
    assert about["settings"]["weights"] == "first.safetensors"
    assert about["before"] == {"recipe": "by hand"}
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-3, atol=1e-6, msg=name)


def test_weights_of_another_layout_lend_their_backbone(config, tmp_path, tiny_model, capsys):
    skip = StageConfig(epochs=0, lr=1e-3)
    tiny_model.with_uncertainty().save(tmp_path / "first.safetensors")
    ibug68 = get_layout("ibug68")
    own = replace(
        ibug68, name="own", ids=range(201, 269), shape3d=7 * ibug68.shape3d, contours={}, normaliser="lnd_bbox"
    )
    own.save(tmp_path / "own.json")
    records = [replace(face, ids=own.ids) for face in read_records(config.annotations)]
    write_records(config.annotations.with_name("own.json"), records)
    run = replace(
        config, out=tmp_path / "run", weights=str(tmp_path / "first.safetensors"), layout=str(tmp_path / "own.json"),
        annotations=config.annotations.with_name("own.json"), landmarks=skip, pose=skip, cascade=skip, joint=skip,
    )  # fmt: skip
    result = SPIGA.from_pretrained(run_training(run))
    assert "has the layout 'ibug68'" in capsys.readouterr().out
    assert result.layout == own
    assert result.uncertainty is None  # one that nobody trained would say how sure it is all the same
    before, after = tiny_model.state_dict(), result.state_dict()
    name = next(name for name in after if name.startswith("backbone.") and after[name].dim() == 4)
    torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-6)
    name = next(name for name in after if name.startswith("cascade.") and after[name].dim() == 2)
    assert not torch.allclose(after[name], before[name], rtol=1e-3)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        was, now = (each.backbone(image).pose[0, 5] for each in (tiny_model, result))
    assert now > 3 * was  # in the unit of the new rigid shape


def test_borrowed_pose_heads_count_in_the_unit_of_the_new_shape(config, tmp_path, tiny_model):
    layout = get_layout("ibug68")
    annotations = config.annotations.with_name("units.json")
    write_records(annotations, [replace(face, ids=range(201, 269)) for face in read_records(config.annotations)])
    images, poses, shapes = torch.rand(2, 3, 64, 64), [], []
    for name, unit in (("first", 1), ("second", 7)):
        own = replace(layout, name=name, ids=range(201, 269), shape3d=unit * layout.shape3d, contours={})
        own.save(tmp_path / f"{name}.json")
        model, _ = lend_backbone(tiny_model, own)
        run = replace(config, annotations=annotations, layout=str(tmp_path / f"{name}.json"))
        seed_everything(0)  # for the same random crops
        match_unit(model.eval(), FaceDataModule(run, model.config).training)
        with torch.no_grad():
            seen = model.backbone(images)
        poses.append(seen.pose)
        shapes.append(model.start(seen))
    unit = torch.tensor([1, 1, 1, 7, 7, 7])
    torch.testing.assert_close(poses[1], unit * poses[0], rtol=1e-2, atol=0.1)
    torch.testing.assert_close(shapes[1], shapes[0], rtol=1e-2, atol=1e-2)


def test_a_run_remembers_what_it_is(config, tmp_path, capsys):
    skip = StageConfig(epochs=0, lr=1e-3)
    run = replace(config, out=tmp_path / "run", landmarks=skip, pose=skip, cascade=skip, joint=skip)
    run_training(run)
    kept = json.loads((run.out / "run.json").read_text())
    assert kept["settings"]["seed"] == 0
    assert kept["versions"]["torch"] == version("torch")
    assert kept["data"]["training"] + kept["data"]["validation"] == 20
    about = read_about(run.out / "model.safetensors")
    assert about["settings"]["annotations"] == config.annotations.name
    assert "out" not in about["settings"]
    assert about["data"] == kept["data"]
    assert about["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", about["commit"])
    run_training(replace(run, workers=1))
    assert "the run is finished" in capsys.readouterr().out
    fewer = config.annotations.with_name("fewer.json")
    write_records(fewer, read_records(config.annotations)[:-1])
    once = StageConfig(epochs=1, lr=2e-3)
    for other, reason in (
        (replace(run, seed=1), "seed was 0, not 1"),
        (replace(run, joint=once), "joint.epochs was 0, not 1; joint.lr was 0.001, not 0.002"),
        (replace(run, model={**run.model, "num_steps": 3}), "model was "),
        (replace(run, annotations=fewer), "the data: .*training was"),
        (replace(run, num_nodes=2), "num_nodes was 1, not 2"),
    ):
        with pytest.raises(ValueError, match=f"run: is of another run, in which .*({reason})"):
            run_training(other)
    run_training(replace(run, seed=1, resume_anyway=True))
    (run.out / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json: cannot be read"):
        run_training(run)


def test_what_cannot_be_trained_is_named(config, tmp_path):
    one = config.annotations.with_name("one.json")
    write_records(one, read_records(config.annotations)[:1])
    with pytest.raises(ValueError, match=r"validation_fraction 0\.1 leaves none of 1 faces to train on"):
        run_training(replace(config, annotations=one, out=tmp_path / "run"))
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match="accelerator 'mps' is not there"):
            run_training(replace(config, accelerator="mps", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_batch_of_one_face_is_told(config, tmp_path):
    with pytest.raises(ValueError, match=r"a batch of one face is too few .* batch_size"):
        run_training(replace(config, batch_size=1, out=tmp_path / "run"))


def test_an_unknown_model_key_is_named(config, tmp_path):
    with pytest.raises(ValueError, match="unknown configuration widht"):
        run_training(replace(config, out=tmp_path, model={"widht": 3}))


def test_mixed_precision_trains(config, tmp_path):
    skip = StageConfig(epochs=0, lr=1e-3)
    run = replace(config, out=tmp_path / "run", precision="bf16-mixed", landmarks=skip, pose=skip, cascade=skip)
    weights = run_training(run)
    model = SPIGA.from_pretrained(weights)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in model.parameters())
