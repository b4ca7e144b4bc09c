"""The order of the house: a folder of the package imports only from itself and from those before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyspiga_geo

PACKAGE = Path(pyspiga_geo.__file__).parent
ORDER = (
    "layouts",
    "geometry",
    "graph",
    "nn",
    "backbones",
    "models",
    "data",
    "evaluation",
    "visualization",
    "training",
    "inference",
    "tracking",
    "cli",
)
COMMON = ("atomic", "keywords", "seed", "settings")  # top-level modules that all may import, and that import no folder
STRANGERS = {
    ("models", "data"),
    ("data", "models"),
    ("nn", "backbones"),
    ("backbones", "nn"),
}  # they meet further up
ROOT = "pyspiga_geo"  # the package itself: its public names


def files_of(part: str) -> list[Path]:
    """The source files of a folder or of a top-level module."""
    return sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]


def parts_imported(source: str, package: tuple[str, ...]) -> set[str]:
    """The parts that a file of `package` imports, at its top or anywhere in it; ROOT for the package itself."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *(node.module.split(".") if node.module else ()))
            targets = [(*module, alias.name) for alias in node.names]
        else:
            continue
        for first, *rest in targets:
            if first == ROOT:
                found.add(rest[0] if rest and rest[0] in (*ORDER, *COMMON) else ROOT)
    return found


def imports_of(path: Path) -> set[str]:
    return parts_imported(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE.parent).parts[:-1])


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("from pyspiga_geo.nn.cascade import SPIGACascade", {"nn"}),
        ("import pyspiga_geo.training", {"training"}),
        ("from pyspiga_geo import cli", {"cli"}),
        ("from pyspiga_geo import SPIGA", {ROOT}),
        ("import pyspiga_geo as p", {ROOT}),
        ("from ..geometry import project", {"geometry"}),
        ("from .. import geometry, SPIGA", {"geometry", ROOT}),
        ("from . import spiga", {"models"}),
        ("from .data import spiga", {"models"}),
        ("def f():\n    from pyspiga_geo.data import FaceData", {"data"}),
        ("import torch, numpy\nfrom data import x", set()),
    ],
)
def test_imports_are_seen(line: str, parts: set[str]) -> None:
    assert parts_imported(line, (ROOT, "models")) == parts


def test_every_part_has_its_place() -> None:
    """A new folder or module must be placed in the order, and one that is gone must leave it."""
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert folders | modules == {*ORDER, *COMMON}


@pytest.mark.parametrize("part", ORDER)
def test_imports_run_one_way(part: str) -> None:
    allowed = {*ORDER[: ORDER.index(part) + 1], *COMMON}
    allowed -= {other for one, other in STRANGERS if one == part}
    if part == "cli":
        allowed.add(ROOT)
    wrong = {str(path.relative_to(PACKAGE)): imports_of(path) - allowed for path in files_of(part)}
    assert not {path: parts for path, parts in wrong.items() if parts}


@pytest.mark.parametrize("module", COMMON)
def test_common_modules_import_no_folder(module: str) -> None:
    assert imports_of(PACKAGE / f"{module}.py") <= set(COMMON)


EXTRA = ("lightning", "pytorch_lightning", "torchmetrics", "kornia", "tensorboard", "jsonargparse")
"""What only the extra ``train`` installs."""

PLAIN = ("graphs_of_different_sizes", "landmarks_in_volumes", "match_keypoints", "use_cascade_in_your_model")
"""Examples that need the package alone."""

ALONE = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({EXTRA}))  # to import one is an error
import {ROOT}.data
from {ROOT} import *
heavy = ("matplotlib", "{ROOT}.training", "{ROOT}.visualization", "{ROOT}.cli")
print(*(name for name in heavy if name in sys.modules))
from {ROOT}.training import losses, targets, distributed
for path in sys.argv[1:]:
    runpy.run_path(path)
"""


def test_the_package_is_light_and_does_without_the_extra(tmp_path: Path) -> None:
    examples = [PACKAGE.parent / "examples" / f"{name}.py" for name in PLAIN]
    loaded = subprocess.check_output([sys.executable, "-c", ALONE, *examples], cwd=tmp_path, text=True)
    assert loaded.split() == []
