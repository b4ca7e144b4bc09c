"""What the pages say by hand must be what the code says. The build (`make docs`) checks the rest."""

import importlib
import pkgutil
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import pyspiga_geo
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout
from pyspiga_geo.models import make_config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CONFIGS = ROOT / "pyspiga_geo" / "training" / "configs"


def listed_in_api() -> list[str]:
    """The dotted names in the tables of the API page."""
    return re.findall(r"^   ~?(pyspiga_geo[\w.]*)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


def public_names(package: str) -> dict[str, Any]:
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())}


def test_api_shows_every_public_name() -> None:
    """Each package's list of names is a page of its own, or its names are on those of others."""
    found = pkgutil.walk_packages(pyspiga_geo.__path__, "pyspiga_geo.")
    packages = ["pyspiga_geo", *(info.name for info in found if info.ispkg)]
    pages = [name for name in listed_in_api() if name in packages]
    shown = {id(value) for package in pages for value in public_names(package).values()}
    missing = [
        f"{package}.{name}"
        for package in packages
        for name, value in public_names(package).items()
        if id(value) not in shown
    ]
    assert "pyspiga_geo.nn" in pages
    assert not missing


def test_api_names_what_the_package_itself_offers() -> None:
    last = {name.rpartition(".")[2] for name in listed_in_api()}
    assert set(pyspiga_geo.__all__) <= last


def test_table_of_differences_is_that_of_the_presets() -> None:
    page = (DOCS / "paper_and_reference.md").read_text(encoding="utf-8")
    table = {
        option: {"paper": paper, "reference": reference}
        for option, paper, reference in re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    }
    words = {"True": "yes", "False": "no"}
    for preset in ("paper", "reference"):
        config = asdict(make_config(preset))
        said = {option: row[preset] for option, row in table.items()}
        assert said == {option: words.get(str(config[option]), str(config[option])) for option in table}
    paper, reference = asdict(make_config("paper")), asdict(make_config("reference"))
    assert set(table) == {option for option in paper if paper[option] != reference[option]}


def test_training_page_names_every_shipped_configuration() -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    section = page.partition("## Configurations")[2].partition("\n## ")[0]
    named = set(re.findall(r"^(`.+`)$", section, re.MULTILINE))
    shipped = {path.stem for path in CONFIGS.glob("*.yaml")}
    assert {name for line in named for name in re.findall(r"`(\w+)`", line)} == shipped


def test_files_that_pages_speak_of_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md") if "_build" not in path.parts)
    spoken_of = set(re.findall(r"(?:examples|pyspiga_geo)/[\w/]+\.(?:py|yaml|safetensors)", text))
    assert len(spoken_of) > 3
    assert not {name for name in spoken_of if not (ROOT / name).is_file()}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The extension that makes the tables of landmarks."""
    pytest.importorskip("sphinx", reason="needs the extra docs")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    monkeypatch.delitem(sys.modules, "landmark_table", raising=False)
    return importlib.import_module("landmark_table")


@pytest.mark.parametrize("layout", [IBUG68, WFLW98], ids=["ibug68", "wflw98"])
def test_names_of_landmarks_change_sides_in_the_mirror(layout: Layout, table: Any) -> None:
    """The names are written by hand: where the layout exchanges two landmarks, so must the words."""
    sides = {"right": "left", "left": "right"}
    for index, number in enumerate(layout.ids):
        if number in table.NAMES:
            mirrored = re.sub("right|left", lambda match: sides[match[0]], table.NAMES[number])
            assert table.NAMES[layout.ids[layout.flip[index]]] == mirrored
    assert set(table.NAMES) & set(layout.ids) >= {number for number in layout.ids if number <= 24}


@pytest.mark.parametrize("layout", [IBUG68, WFLW98], ids=["ibug68", "wflw98"])
def test_names_of_landmarks_say_where_they_lie(layout: Layout, table: Any) -> None:
    assert layout.shape3d is not None
    for index, number in enumerate(layout.ids):
        to_the_right = layout.shape3d[index, 1]
        name = table.NAMES.get(number, "")
        assert "right" not in name or to_the_right > 0
        assert "left" not in name or to_the_right < 0


def test_rows_of_the_table(table: Any) -> None:
    rows = table.rows(WFLW98)
    assert len(rows) == 98
    assert rows[0] == ("0", "100", "jaw", "32", "jaw, 1 of 33")
    assert rows[60] == ("60", "7", "right_eye_upper, right_eye_lower", "72", "outer corner of the right eye")
    assert rows[96] == ("96", "196", "none", "97", "right pupil")


def test_links_of_the_readme_lead_somewhere() -> None:
    """The build checks those between pages; the front page of the repository is none of them."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 5
    assert not [link for link in links if not (ROOT / link).is_file()]
