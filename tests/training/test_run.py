"""A whole training run on pictures of projected rigid faces, with all that it writes."""

import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from pyspiga_geo import SPIGA
from pyspiga_geo.training import StageConfig, TrainConfig

pytest.importorskip("lightning")
from pyspiga_geo.training.run import run_training

pytestmark = pytest.mark.usefixtures("unpainted")

STAGES = ("landmarks", "pose", "cascade", "joint")


def trained(config: TrainConfig) -> dict[str, torch.Tensor]:
    return SPIGA.from_pretrained(run_training(config)).state_dict()


def test_the_stages_give_weights_and_logs_and_are_not_repeated(config, tmp_path, capsys):
    run = replace(config, out=tmp_path / "run", model=config.model | {"num_steps": 2})
    first = trained(run)
    said = capsys.readouterr().out.splitlines()  # a line per epoch, because this is no terminal
    line_per_epoch = r"(\w+), epoch \d of \d: loss [\d.e+-]+, .*nme_\w+ [\d.]+ %"
    told = [match[1] for match in map(re.compile(line_per_epoch).match, said) if match]
    assert tuple(dict.fromkeys(told)) == STAGES
    assert (run.out / "model.safetensors").is_file()
    for stage in STAGES:
        assert (run.out / stage / "csv" / "version_0" / "metrics.csv").read_text().startswith("epoch,loss")
        with Image.open(run.out / stage / "faces" / "epoch_0001.png") as sheet:
            assert min(sheet.size) > 300
    report = (run.out / "report.md").read_text()
    for words in ("| initial |", "| heatmaps |", "| step 2 |", "P90", "AUC_8", "(validation/report.md)"):
        assert words in report
    page = run.out / "validation" / "report.md"
    for words in ("Methods side by side", "| heatmaps ", "Head pose", "Worst faces"):
        assert words in page.read_text()
    for each in (run.out / "report.md", page):
        pictures = re.findall(r"\((.*\.png)\)", each.read_text())
        assert pictures
        assert all((each.parent / picture).is_file() for picture in pictures)
    # The frozen backbone of the third stage is what the second stage left, batch statistics included.
    second = SPIGA.from_pretrained(run.out / "pose" / "model.safetensors").state_dict()
    third = SPIGA.from_pretrained(run.out / "cascade" / "model.safetensors").state_dict()
    for name, value in second.items():
        if name.startswith("backbone."):
            assert torch.equal(third[name], value), name
    assert any(not torch.equal(third[name], second[name]) for name in second if name.startswith("cascade."))
    # The fourth trains all of it.
    fourth = SPIGA.from_pretrained(run.out / "joint" / "model.safetensors").state_dict()
    for part in ("backbone.", "cascade."):
        weights = [name for name in third if name.startswith(part) and name.endswith("weight")]
        assert all(not torch.equal(fourth[name], third[name]) for name in weights)
    stamp = (run.out / "pose" / "model.safetensors").stat().st_mtime_ns
    again = trained(run)
    assert (run.out / "pose" / "model.safetensors").stat().st_mtime_ns == stamp
    assert all(torch.equal(again[name], value) for name, value in first.items())


def test_without_validation_and_with_fewer_faces_than_a_batch(config, tmp_path):
    skip = StageConfig(epochs=0, lr=1e-3)
    run = replace(
        config,
        out=tmp_path / "run",
        validation_fraction=0,
        batch_size=50,
        pose=skip,
        cascade=skip,
        joint=skip,
    )
    before = trained(replace(run, out=tmp_path / "untrained", landmarks=skip))
    assert (tmp_path / "untrained" / "report.md").read_text().startswith("# Training report")
    after = trained(run)
    assert any(not torch.equal(after[name], value) for name, value in before.items())
