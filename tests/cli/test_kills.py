"""Commands that are killed: nothing is half-written or lost, and a second call completes the work."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from pyspiga_geo import SPIGA
from pyspiga_geo.data import read_records, write_records
from pyspiga_geo.models.reference import export

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")]

KILLS = 20
SMALL = {"image_size": 64, "channels": 64, "num_stacks": 2, "depth": 2, "node_channels": 64, "hidden_channels": 32}

# Imports everything once, and then forks for each command that it is told. The reference network is a small one here.
WARMED = f"""
import json, os, sys, torch
from pyspiga_geo.cli import main
import pyspiga_geo.cli.commands, pyspiga_geo.visualization
from pyspiga_geo.models.config import PRESETS
torch.set_num_threads(1)
PRESETS["reference"] |= {SMALL!r}
for line in sys.stdin:
    command, said = json.loads(line)
    child = os.fork()
    if not child:
        target = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        code = 0
        try:
            main(command)
        except SystemExit as stop:
            code = stop.code
        os._exit(code)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""

Call = Callable[..., tuple[int, str, float]]


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """Runs a command, and kills it after some seconds where told: exit status, what it said, and its time."""
    folder = tmp_path_factory.mktemp("warmed")
    (folder / "warmed.py").write_text(WARMED)
    said = folder / "said.txt"
    with subprocess.Popen(
        [sys.executable, folder / "warmed.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as warmed:

        def run(command: list[object], kill_after: float | None = None) -> tuple[int, str, float]:
            warmed.stdin.write(json.dumps([list(map(str, command)), str(said)]) + "\n")
            warmed.stdin.flush()
            child, began = int(warmed.stdout.readline()), time.monotonic()
            if kill_after is not None:
                time.sleep(kill_after)
                with contextlib.suppress(ProcessLookupError):  # it had finished
                    os.kill(child, signal.SIGKILL)
            status = int(warmed.stdout.readline())
            return status, said.read_text(), time.monotonic() - began

        yield run
        warmed.stdin.close()


def moments(seconds: float) -> list[float]:
    """When to kill: one random moment in each twentieth of a command's time."""
    shares = np.random.default_rng(0).uniform(size=KILLS)
    return [seconds * (number + share) / KILLS for number, share in enumerate(shares)]


def finished_files(folder: Path) -> dict[str, bytes]:
    """What is there, but hidden files that are not finished."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def check_whole(folder: Path) -> None:
    """Each file can be read, to its end; of lines the last may be torn."""
    for path in (folder / name for name in finished_files(folder)):
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            assert all(json.loads(line) for line in path.read_text().split("\n")[:-1])
        else:
            assert path.name == "report.md"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six photos, one of them without a face."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("photos") / "album"
    folder.mkdir()
    face = Image.fromarray(astronaut()).crop((100, 0, 356, 256))
    for number in range(6):
        photo = face.rotate(4 * number) if number != 3 else Image.new("RGB", (200, 100))
        photo.save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", ["faces.json", "faces.jsonl"])
def test_predict(call: Call, tmp_path: Path, weights: Path, album: Path, name: str) -> None:
    def command(folder: Path) -> list[object]:
        outputs = ["--json", folder / name, "--out", folder / "drawn", "--picture-size", 300]
        return ["predict", album, "--model", weights, "--batch-size", 1, *outputs]

    status, said, seconds = call(command(tmp_path / "whole"))
    assert status == 0, said
    wanted, stopped = finished_files(tmp_path / "whole"), 0
    assert len(wanted) == 7
    for number, moment in enumerate(moments(seconds)):
        folder = tmp_path / str(number)
        status, said, _ = call(command(folder), kill_after=moment)
        stopped += status == signal.SIGKILL
        check_whole(folder)
        written = "".join(path.read_text() for path in folder.glob("faces*")) if folder.exists() else ""
        for photo, picture in re.findall(r"^(\S+): .*, drawn in (\S+)$", said, re.MULTILINE):
            assert json.dumps(photo) in written or "no face" in said, photo
            assert Path(picture).is_file(), picture
        if name == "faces.jsonl" or not (folder / name).exists() or list(folder.glob("*.partial*")):
            status, said, _ = call(command(folder))
            assert status == 0, said
        assert finished_files(folder) == wanted, (number, said)
    assert stopped > KILLS / 2


def test_evaluate(call: Call, tmp_path: Path, weights: Path, album: Path) -> None:
    truth = tmp_path / "truth.json"
    assert call(["predict", album, "--model", weights, "--json", truth])[0] == 0
    records = read_records(truth)
    for record in records:
        record.landmarks[:] += np.random.default_rng(0).normal(size=(68, 2))
    write_records(truth, records)

    def command(folder: Path) -> list[object]:
        outputs = ["--json", folder / "figures.json", "--predictions-out", folder / "faces.json"]
        outputs += ["--report", folder / "report"]
        return ["evaluate", "--model", weights, "--images", album, "--annotations", truth, *outputs]

    status, said, seconds = call(command(tmp_path / "whole"))
    assert status == 0, said
    wanted, stopped = finished_files(tmp_path / "whole"), 0
    assert len(wanted) == 8
    for number, moment in enumerate(moments(seconds)):
        folder = tmp_path / str(number)
        status, said, _ = call(command(folder), kill_after=moment)
        stopped += status == signal.SIGKILL
        check_whole(folder)
        if "faces" in said and "NME" in said:  # told when all is written
            assert finished_files(folder) == wanted
        again = ["--overwrite"] if list(folder.glob("*.json")) else []
        status, said, _ = call([*command(folder), *again])
        assert status == 0, said
        assert finished_files(folder) == wanted
    assert stopped > KILLS / 2


def test_convert(call: Call, tmp_path: Path) -> None:
    reference = tmp_path / "authors.pt"
    torch.save(export(SPIGA.from_preset("reference", **SMALL)), reference)

    def content(path: Path) -> dict[str, object]:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()} | file.metadata()  # noqa: SIM118

    whole = tmp_path / "whole.safetensors"
    status, said, seconds = call(["convert", reference, whole])
    assert status == 0, said
    wanted, stopped = content(whole), 0
    for number, moment in enumerate(moments(seconds)):
        out = tmp_path / f"{number}.safetensors"
        status, said, _ = call(["convert", reference, out], kill_after=moment)
        stopped += status == signal.SIGKILL
        assert out.exists() or "written to" not in said
        if out.exists():
            assert content(out) == wanted
        else:
            status, said, _ = call(["convert", reference, out])
            assert status == 0, said
            assert content(out) == wanted
    assert stopped > KILLS / 2
