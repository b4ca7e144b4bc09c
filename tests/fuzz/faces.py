"""Faces in files: annotation records, predictions, .pts and the published datasets."""

import io
import json
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image

from fuzz.kind import Kind, Prepared
from fuzz.mutations import mutate_bytes, mutate_json, mutate_lines, mutate_numbers
from pyspiga_geo.cli.arguments import parser
from pyspiga_geo.cli.evaluation import evaluate
from pyspiga_geo.data import read_dataset, read_pts, read_records, sound_faces, write_records
from pyspiga_geo.data.records import FARTHEST
from pyspiga_geo.evaluation import read_subsets
from pyspiga_geo.layouts import IBUG68, WFLW98


def points_of(number: int, count: int = 68) -> list[list[float]]:
    rows = np.arange(count)
    return np.stack([3.5 + rows % 10 * 4 + number, 5.25 + rows // 10 * 3], axis=1).tolist()


def entry(number: int, **more: Any) -> dict[str, Any]:
    face: dict[str, Any] = {"imgpath": "a.png", "bbox": [1.5, 2, 40, 30.0], "ids": list(IBUG68.ids)}
    face |= {"landmarks": points_of(number), "visible": [1] * 67 + [0], "headpose": [10.0, -5, 2.5, 0, 0.1, 3]}
    return face | {"group": f"g{number}"} | more


def lines_of(*photos: list[dict[str, Any]]) -> bytes:
    header = {"program": "pyspiga-geo predict", "model": "compact", "any_angle": False, "boxes": None}
    lines = [header, *({"imgpath": f"{number}.png", "faces": faces} for number, faces in enumerate(photos))]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(path)


SHORT = {"imgpath": "a.png", "ids": [7, 12, 101], "landmarks": [[5.0, 6.0], None, [25, 6.5]]}
RECORDS = [json.dumps(faces).encode() for faces in ([SHORT, SHORT], [entry(0), entry(1, score=0.5, sigma=[1.5] * 68)])]
LINES = [lines_of([entry(0, score=0.9)], [], [entry(1), entry(2)]), lines_of([SHORT])]


def _records(folder: Path, name: str) -> Prepared:
    draw(folder / "a.png")
    path, copy = folder / name, folder / "copy.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        records = read_records(path)
        write_records(copy, records)
        for one, other in zip(records, read_records(copy), strict=True):
            assert np.array_equal(one.landmarks, other.landmarks, equal_nan=True)
            assert not (np.abs(one.landmarks) > FARTHEST).any()
        sound_faces(path, folder, IBUG68.ids, skip_bad=True)

    return Prepared(LINES if name.endswith("l") else RECORDS, read)


def _subsets(folder: Path) -> Prepared:
    path = folder / "subsets.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        assert all(0 <= face < 5 for faces in read_subsets(path, 5).values() for face in faces)

    return Prepared([b'{"turned": [0, 2], "dark": [1, 2, 3]}', b'{"test_subsets": {"a": [4]}, "x": 1}'], read)


def _evaluate(folder: Path, name: str) -> Prepared:
    """The command ``evaluate`` itself, without its reading of arguments."""
    draw(folder / "a.png")
    truth, path, out = folder / "truth.json", folder / name, folder / "figures.json"
    truth.write_text(json.dumps([entry(0), entry(1, headpose=None), entry(2)]))
    options = ["--predictions", path, "--annotations", truth, "--json", out, "--overwrite"]
    arguments = parser().parse_args(["evaluate", *map(str, options)])["evaluate"]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        evaluate(arguments)
        json.loads(out.read_text(), parse_constant=lambda name: 1 / 0)  # strict JSON has neither NaN nor Infinity

    faces = [entry(number + 0.25, score=0.9, sigma=[1.0] * 68) for number in range(3)]
    return Prepared([lines_of(faces[:1], [], faces[1:])] if name.endswith("l") else [json.dumps(faces).encode()], read)


def _pts_text(points: list[list[float]]) -> bytes:
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
    return f"version: 1\nn_points:  {len(points)}\n{{\n{rows}\n}}\n".encode()


def _published(
    folder: Path, name: str, split: str, file: str, picture: str, valid: Callable[[], list[bytes]]
) -> Prepared:
    """A dataset whose one file changes."""
    draw(folder / picture)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in ("frontal", "left", "lefthalf", "right", "righthalf") if name == "merl-rav" else ():
        (folder / f"merl_rav_organized/{part}/trainset").mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for record in read_dataset(name, folder, split).records:
            assert not (np.abs(record.landmarks) > FARTHEST).any()
            assert np.isfinite(record.bbox).all()
            assert min(record.bbox[2:]) > 0
        if path.suffix == ".pts":
            assert np.isfinite(read_pts(path)).all()

    return Prepared(valid(), read)


def _wflw_list() -> list[bytes]:
    numbers = " ".join(f"{value:.6f}" for point in points_of(0, len(WFLW98)) for value in point)
    return [f"{numbers} 10 8 42 40 0 1 0 0 1 0 0--Parade/a.png\n".encode() * 2]


def _annotation() -> list[bytes]:
    content = {"Points": np.array(points_of(0)) + 1, "Occ": np.zeros((1, 68), dtype=np.uint8)}
    valid = []
    for options in ({}, {"do_compression": True}):
        stream = io.BytesIO()
        scipy.io.savemat(stream, content, **options)
        valid.append(stream.getvalue())
    return valid


def _merl_points() -> list[bytes]:
    return [_pts_text([[-1, -1], [-4, -5.5], *points_of(0)[2:]])]


def _cofw_pictures(folder: Path) -> Prepared:
    """The file of HDF5, unpacked by a process of its own."""
    import h5py

    path, unpacked = folder / "COFW_test_color.mat", folder / "COFW_test_color"
    (folder / "test_annotations").mkdir()
    for number in (1, 2):
        (folder / f"test_annotations/{number}_points.mat").write_bytes(_annotation()[0])
    random, valid = np.random.default_rng(0), []
    for options in ({}, {"compression": "gzip"}):
        with h5py.File(path, "w", userblock_size=512) as file:
            cells = file.create_dataset("IsT", (1, 2), dtype=h5py.ref_dtype)
            for number, shape in enumerate(((3, 8, 6), (5, 7))):
                pixels = random.integers(0, 256, shape).astype(np.uint8)
                cells[0, number] = file.create_dataset(f"#refs#/{number}", data=pixels, **options).ref
        content = path.read_bytes()
        valid.append(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + content[128:])
    warnings.simplefilter("ignore")

    def read(content: bytes) -> None:
        shutil.rmtree(unpacked, ignore_errors=True)
        path.write_bytes(content)
        assert len(read_dataset("cofw68", folder, "test")) == 2

    return Prepared(valid, read)


def _pts_files() -> list[bytes]:
    return [_pts_text(points_of(0))]


_ORGANIZED = "merl_rav_organized/frontal/trainset/a"
KINDS = [
    Kind("records", 80, partial(_records, name="faces.json"), mutate_json),
    Kind("records-lines", 60, partial(_records, name="faces.jsonl"), mutate_lines),
    Kind("subsets", 40, _subsets, mutate_json),
    Kind("evaluate", 3, partial(_evaluate, name="found.json"), mutate_json),
    Kind("evaluate-lines", 3, partial(_evaluate, name="found.jsonl"), mutate_lines),
    *(
        Kind(name, share, partial(_published, name=name, split=split, file=file, picture=picture, valid=valid), mutate)
        for name, share, split, file, picture, valid, mutate in (
            ("pts", 60, "all", "a.pts", "a.png", _pts_files, mutate_numbers),
            ("300w", 50, "challenging", "ibug/a.pts", "ibug/a.png", _pts_files, mutate_numbers),
            ("merl-rav", 40, "train", f"{_ORGANIZED}.pts", f"{_ORGANIZED}.png", _merl_points, mutate_numbers),
            ("wflw", 50, "test", "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt",
             "WFLW_images/0--Parade/a.png", _wflw_list, mutate_numbers),
            ("cofw68", 40, "test", "test_annotations/1_points.mat", "COFW_test_color/1.png", _annotation, mutate_bytes),
        )
    ),
    Kind("cofw68-pictures", 2, _cofw_pictures, mutate_bytes),
]  # fmt: skip
