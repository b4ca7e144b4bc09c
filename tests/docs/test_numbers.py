"""Figures of shipped models in README and documentation are those of the files that the benchmarks wrote."""

import hashlib
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pyspiga_geo.models.checkpoint import PRETRAINED

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = ROOT / "docs" / "numbers"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The program that fills the pages."""
    sys.path.insert(0, str(ROOT / "benchmarks"))  # as for a script that is run there
    return importlib.import_module("fill_pages")


@pytest.mark.parametrize("name", PRETRAINED)
def test_figures_are_of_the_weights_that_ship(name: str) -> None:
    figures = json.loads((NUMBERS / f"{name}.json").read_text(encoding="utf-8"))
    shipped = hashlib.sha256(PRETRAINED[name].read_bytes()).hexdigest()
    assert figures["sha256"] == shipped, "run benchmarks/model_figures.py, then benchmarks/fill_pages.py"


def test_pages_say_what_the_figures_are(pages: ModuleType) -> None:
    parts = pages.all_parts()
    texts = {path.name: path.read_text(encoding="utf-8") for path in pages.pages()}
    stale = [name for name, text in texts.items() if pages.fill(text, parts) != text]
    assert not stale, "run benchmarks/fill_pages.py"


def test_readme_has_figures(pages: ModuleType) -> None:
    marks = {match["name"] for match in pages.MARKED.finditer((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {"models.accuracy", "models.zoo", "base.steps"} <= marks


def test_marks_keep_what_is_around_them(pages: ModuleType) -> None:
    text = "It is <!-- figure a.b -->old<!-- /figure --> long.\n\n<!-- figure t -->\n\nold\n\n<!-- /figure -->\nend"
    filled = pages.fill(text, {"a.b": "3 %", "t": "| x |"})
    assert filled == (
        "It is <!-- figure a.b -->3 %<!-- /figure --> long.\n\n<!-- figure t -->\n\n| x |\n\n<!-- /figure -->\nend"
    )
    with pytest.raises(KeyError):
        pages.fill(text, {})


def test_columns_of_the_times_are_what_their_heads_say(pages: ModuleType) -> None:
    attention = json.loads((NUMBERS / "attention.json").read_text(encoding="utf-8"))
    lines = pages.attention_parts(attention)["table"].splitlines()
    heads, first = ([cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], lines[2]))
    cell = attention["cells"][0]
    assert heads[:3] == ["layer", "L", "B"]
    assert first[:3] == [cell["layer"], str(cell["landmarks"]), str(cell["batch"])]


def test_command_line_page_names_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx", reason="needs the extra docs")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    monkeypatch.delitem(sys.modules, "command_line", raising=False)
    reference = importlib.import_module("command_line")
    text = "\n".join(reference.lines())
    assert set(reference.commands()) == {"demo", "predict", "track", "train", "evaluate", "convert", "export"}
    for known in (
        "``--bbox X Y W H``",
        "``--cascade.epochs INT``",
        "``--any-angle``",
        "``IMAGE ...``",
        "Default: ``out/demo``",
    ):
        assert known in text
    assert text.count("``--overwrite``\n") == 5
