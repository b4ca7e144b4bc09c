"""A dataset of one's own: a CSV file with a face per line becomes annotation records, and these are graphs."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo import Layout
from pyspiga_geo.data import AnnotatedFaces, FaceRecord, read_records, write_records
from pyspiga_geo.data.transforms import Resample, SquareCrop

IDS = (201, 202, 203)


def read_csv(path: Path) -> list[FaceRecord]:
    """Faces of a file with the columns file, x1, y1, x2, y2, x3, y3; an empty field is a landmark not annotated."""
    records = []
    for name, *numbers in csv.reader(path.read_text().splitlines()):
        points = np.array([float(number or "nan") for number in numbers]).reshape(-1, 2)
        low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
        records.append(FaceRecord(name, (*low, *(high - low)), IDS, points, visible=np.ones(len(IDS))))
    return records


def test_csv_becomes_a_dataset_and_a_file_to_train_on(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 60), "grey").save(tmp_path / name)
    (tmp_path / "faces.csv").write_text("a.png,20,20,50,22,35,45\nb.png,30,15,60,25,,\n")
    records = read_csv(tmp_path / "faces.csv")
    crop = Compose([SquareCrop(32, 1.6), Resample(32)])
    batch = next(iter(DataLoader(AnnotatedFaces(records, tmp_path, Layout("points", IDS), crop), batch_size=2)))
    assert batch.image.shape == (2, 3, 32, 32)
    assert batch.pos.shape == (6, 2)
    assert batch.mask.tolist() == [True] * 5 + [False]

    write_records(tmp_path / "train.json", records)  # what `pyspiga-geo train --annotations` reads
    assert [face.imgpath for face in read_records(tmp_path / "train.json")] == ["a.png", "b.png"]
