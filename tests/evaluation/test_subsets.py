import json
from pathlib import Path

import pytest

from pyspiga_geo.evaluation import read_subsets


@pytest.mark.parametrize("wrapped", [False, True])
def test_plain_files_and_those_of_the_authors(tmp_path: Path, wrapped: bool) -> None:
    path = tmp_path / "subsets.json"
    subsets = {"turned": [2, 0], "all": [0, 1, 2]}
    path.write_text(json.dumps({"ldm_ids": [1], "norm": {}, "test_subsets": subsets} if wrapped else subsets))
    assert read_subsets(path, faces=3) == {"turned": (2, 0), "all": (0, 1, 2)}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no json", "not a JSON file"),
        ("[[1, 2]]", "must hold an object of subsets"),
        ("{}", "must hold an object of subsets"),
        ('{"test_subsets": null}', "must hold an object of subsets"),
        ('{"a": []}', "subset 'a' must be a list of whole numbers that is not empty"),
        ('{"a": [0], "b": 1}', "subset 'b' must be a list"),
        ('{"a": [0.5]}', "subset 'a' must be a list"),
        ('{"a": [true]}', "subset 'a' must be a list"),
        ('{"a": [0, 3]}', "subset 'a' names face 3, but there are 3 faces, 0 to 2"),
        ('{"a": [-1]}', "subset 'a' names face -1"),
        ('{"a": [0, 1, 0]}', "subset 'a' names face 0 more than once"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "subsets.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=reason) as raised:
        read_subsets(path, faces=3)
    assert str(path) in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.json: cannot be read"):
        read_subsets(tmp_path / "absent.json", faces=3)


def test_the_subsets_of_the_authors(shared: Path) -> None:
    private = read_subsets(shared / "layouts" / "300wprivate_db_info.json", faces=600)
    assert {name: len(faces) for name, faces in private.items()} == {"indoor": 300, "outdoor": 300}
    wflw = read_subsets(shared / "layouts" / "wflw_db_info.json", faces=2500)
    assert {name: len(faces) for name, faces in wflw.items()} == {
        "pose": 326,
        "expression": 314,
        "illumination": 698,
        "makeup": 206,
        "occlusion": 736,
        "blur": 773,
    }
