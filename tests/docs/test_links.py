"""The check of the links of a built site."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

EXTENSIONS = Path(__file__).resolve().parents[2] / "docs" / "_ext"


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The extension that checks links after the build."""
    pytest.importorskip("sphinx", reason="needs the extra docs")
    monkeypatch.syspath_prepend(EXTENSIONS)
    monkeypatch.delitem(sys.modules, "links", raising=False)
    return importlib.import_module("links")


def test_a_link_leads_to_a_file_and_to_an_anchor_in_it(links: Any, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    text = '<h1 id="größe">Size</h1> <a href="../index.html#top">up</a>'
    (tmp_path / "more" / "names and shapes.html").write_text(text, encoding="utf-8")
    good = ["#top", "more/names%20and%20shapes.html#gr%C3%B6%C3%9Fe", "https://example.org/#nothing", "index.html?q=1"]
    bad = ["#bottom", "gone.html", "more/names%20and%20shapes.html#colour", "picture.png"]
    text = '<h1 id="top">Title</h1>' + "".join(f'<a href="{link}">to</a>' for link in good + bad[:3])
    (tmp_path / "index.html").write_text(f'{text}<img src="{bad[3]}">', encoding="utf-8")
    assert links.broken(tmp_path) == [("index.html", link) for link in sorted(bad)]
