"""Lines of tracked faces that are not what they should be."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyspiga_geo.tracking import read_tracks
from pyspiga_geo.tracking.lines import FORMAT, read_header

FACE = {"identity": 3, "bbox": [1, 2.5, 3, 4], "score": 0.5, "pose": [1, 2, 3, 0, 0, 4.5]}
FACE |= {"landmarks": [[1.5, 2], [3, 4]], "measured": [[1.5, 2], [3, 4]]}


def write(path: Path, **changes: Any) -> None:
    """Two frames; of the second one's face, or of itself, some values are others; ``...`` removes one."""
    face = {key: value for key, value in (FACE | changes).items() if value is not ... and key not in ("frame", "time")}
    second = {"frame": changes.get("frame", 1), "time": changes.get("time", 0.04), "faces": [face]}
    lines = [{"format": FORMAT}, {"frame": 0, "time": 0, "faces": [FACE]}, second]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_lines_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", pose=..., score=...)
    first, second = read_tracks(tmp_path / "a.jsonl")
    assert first.faces[0].pose.shape == (6,)
    assert "pose" not in second.faces[0]
    assert second.faces[0].pos.tolist() == FACE["landmarks"]
    assert (second.number, second.time) == (1, 0.04)


@pytest.mark.parametrize(
    "changes",
    [
        {"landmarks": None},
        {"landmarks": {"a": 1}},
        {"landmarks": 3},
        {"landmarks": [[1, 2]]},
        {"landmarks": [[1, 2], [3, float("nan")]]},
        {"measured": ...},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, 10**400]},
        {"pose": [1, 2, 3]},
        {"score": [0.5]},
        {"identity": float("inf")},
        {"time": "soon"},
        {"time": -1},
        {"time": float("nan")},
        {"frame": 3},
    ],
    ids=repr,
)
def test_other_values_are_told_by_their_line(changes: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", **changes)
    with pytest.raises(ValueError, match=r"a\.jsonl: line 3 is (not a line of tracked faces|frame 3)"):
        list(read_tracks(tmp_path / "a.jsonl"))


def test_nesting_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":' * 9999 + "\n")
    assert read_header(path) is None
    with pytest.raises(ValueError, match="line 1 is not a line of tracked faces"):
        list(read_tracks(path))
