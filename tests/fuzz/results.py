"""What the commands ``predict`` and ``track`` have written and go on with, and photos and boxes of one's own."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuzz.faces import LINES, entry, lines_of
from fuzz.kind import Kind, Prepared
from fuzz.models import tiny_model
from fuzz.mutations import mutate_json, mutate_lines
from pyspiga_geo.cli.journal import Journal
from pyspiga_geo.data import read_records
from pyspiga_geo.inference import FaceAligner
from pyspiga_geo.tracking import TrackedFrame, read_tracks
from pyspiga_geo.tracking.lines import FORMAT, FaceLines, read_header


def _journal(folder: Path, name: str) -> Prepared:
    """A stopped ``predict`` that goes on."""
    path, begun = folder / "faces.jsonl", folder / name
    wanted = path if name == "faces.jsonl" else folder / "faces.json"
    settings = {"model": "compact", "any_angle": False, "boxes": None}

    def read(content: bytes) -> None:
        for file in folder.iterdir():
            file.unlink()
        begun.write_bytes(content)
        journal = Journal(wanted, settings, overwrite=False)
        journal.begin()
        done = len(journal.done)
        journal.add("new.png", [])
        journal.finish([*journal.done, "new.png"], complete=True)
        found = read_records(wanted)
        assert all(type(face.imgpath) is str for face in found)
        if wanted == path:
            assert len(Journal(wanted, settings, overwrite=False).done) in (done, done + 1)

    valid = [lines_of([entry(0) | {"imgpath": "0.png"}], [], [entry(1) | {"imgpath": "2.png"}]), *LINES]
    return Prepared(valid, read)


def _tracks(folder: Path) -> Prepared:
    path = folder / "faces.jsonl"
    header = {"format": FORMAT, "film": "a.mp4", "width": 64}
    points = [[1.5, 2.25], [3, 4], [5, 6.125]]
    face = {"identity": 3, "bbox": [1, 2.5, 3, 4], "score": 0.5, "pose": [1, 2, 3, 0, 0, 4.5]}
    face |= {"landmarks": points, "measured": points}
    lines = [header, *({"frame": number, "time": number / 25, "faces": [face] * number} for number in range(4))]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        if read_header(path) == header:
            with FaceLines(path, {"film": "a.mp4", "width": 64}) as going_on:
                going_on.write(TrackedFrame(going_on.frames, 9.0, []))
        for frame in read_tracks(path):
            assert frame.time >= 0, frame
            for each in frame.faces:
                count = len(each.pos)
                assert each.pos.shape == each.measured.shape == (count, 2), each
                assert each.bbox.shape == (4,), each
                assert all(value.shape == (6,) for key, value in each if key == "pose"), each
                assert all(value.shape == () for key, value in each if key == "score"), each
                assert all(value.isfinite().all() for _, value in each if isinstance(value, torch.Tensor)), each

    return Prepared([b"".join(json.dumps(line).encode() + b"\n" for line in lines)], read)


def _made(value: Any) -> Any:
    """Arrays, tensors and Pillow images where a value describes one that can be made; else the value itself."""
    if isinstance(value, list):
        return [_made(each) for each in value]
    if not isinstance(value, dict) or "of" not in value:
        return value
    try:
        numbers = np.array(value["of"], dtype=value["dtype"])
        if "shape" in value:
            numbers = np.broadcast_to(numbers, value["shape"])
        if numbers.size > 1_000_000:
            return value
        if value["is"] == "tensor":
            return torch.from_numpy(numbers.copy())
        return numbers
    except (ValueError, TypeError, OverflowError, KeyError, RecursionError, AttributeError):
        return value


def _aligner(folder: Path) -> Prepared:
    aligner = FaceAligner(tiny_model(), detector=lambda photo: torch.zeros(0, 4))

    def read(content: bytes) -> None:
        try:
            given = json.loads(content)
        except (ValueError, RecursionError):
            return
        if not isinstance(given, dict) or not {"photo", "boxes"} <= given.keys():
            return
        photo, boxes = _made(given["photo"]), _made(given["boxes"])
        found = aligner(photo, boxes, box_format=given.get("box_format", "xywh"))
        for faces in found if isinstance(photo, list) else [found]:
            assert all(face.pos.shape == (68, 2) and face.pos.isfinite().all() for face in faces), faces

    photo = {"is": "array", "of": 100, "dtype": "uint8", "shape": [40, 50, 3]}
    tensor = {"is": "tensor", "of": 0.5, "dtype": "float32", "shape": [3, 40, 50]}
    box = [5.5, 6, 20, 25]
    boxes = [[box], [[*box, 0.9], [1, 1, 5, 5, 0.5]], {"is": "array", "of": [box], "dtype": "float64"}, [], None]
    boxes += [box, {"is": "tensor", "of": [box, box], "dtype": "int16"}]
    valid = [{"photo": each, "boxes": given} for each in (photo, tensor) for given in boxes]
    valid += [{"photo": [photo, tensor, photo], "boxes": [[box], None, [box, box]], "box_format": "xyxy"}]
    valid += [
        {"photo": photo | {"dtype": kind, "of": 1}, "boxes": [box]}
        for kind in ("bool", "float16", "int64", "complex64", "U3", "object")
    ]
    return Prepared([json.dumps(each).encode() for each in valid], read, named=False)


KINDS = [
    Kind("predict-lines", 30, partial(_journal, name="faces.jsonl"), mutate_lines),
    Kind("predict-partial", 30, partial(_journal, name="faces.partial.jsonl"), mutate_lines),
    Kind("tracks", 60, _tracks, mutate_lines),
    Kind("aligner", 30, _aligner, mutate_json),
]
