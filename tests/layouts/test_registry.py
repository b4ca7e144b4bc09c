"""Layouts by name."""

import pytest

from pyspiga_geo.layouts import (
    BUILT_IN,
    IBUG68,
    WFLW98,
    Layout,
    available_layouts,
    get_layout,
    read_layout,
    register_layout,
    registry,
)


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register layouts without leaving them behind, and without those that others left."""
    monkeypatch.setattr(registry, "_LAYOUTS", {layout.name: layout for layout in BUILT_IN})


def test_built_in_layouts_are_known_by_name() -> None:
    assert {"ibug68", "wflw98"} <= set(available_layouts())
    assert get_layout("ibug68") is IBUG68
    assert get_layout("wflw98") is WFLW98


def test_layout_passes_through_without_being_registered() -> None:
    layout = Layout("hand", [5, 7, 9, 11])
    assert get_layout(layout) is layout
    assert layout.name not in available_layouts()


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'lfpw29'.*ibug68, wflw98"):
        get_layout("lfpw29")


@pytest.mark.usefixtures("own_names")
def test_registered_layout_is_found() -> None:
    layout = Layout("hand", [5, 7, 9, 11])
    assert register_layout(layout) is layout
    assert get_layout("hand") is layout
    assert available_layouts() == ["hand", "ibug68", "wflw98"]
    assert register_layout(Layout("hand", [5, 7, 9, 11])) is layout  # an equal one once more changes nothing


@pytest.mark.usefixtures("own_names")
def test_name_of_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="'ibug68' exists already"):
        register_layout(Layout("ibug68", [5, 7, 9, 11]))
    assert get_layout("ibug68") is IBUG68


def test_a_layout_goes_through_a_file(tmp_path):
    for layout in BUILT_IN:
        layout.save(tmp_path / "a.json")
        assert read_layout(tmp_path / "a.json") == layout
        assert get_layout(str(tmp_path / "a.json")) == layout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read: No such file"),
        ("{", "not a JSON file"),
        ("[1]", "must be an object with name and ids"),
        ('{"name": "a"}', "must be an object with name and ids"),
        ('{"name": "a", "ids": [1, 2], "size": 3}', "must be an object with name and ids"),
        ('{"name": "a", "ids": [1, 1]}', "layout 'a': "),
        ('{"name": "a", "ids": 5}', "layout 'a': "),
        ('{"name": "a", "ids": [1, 2], "contours": [3]}', "a.json: "),
        ('{"name": "a", "ids": [1, 2], "shape3d": "x"}', "a.json: "),
    ],
)
def test_what_is_no_layout_is_told(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_layout(tmp_path / "a.json")
