import numpy as np
import pytest
import torch
from PIL import Image
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo import Layout
from pyspiga_geo.data import AnnotatedFaces, FaceRecord, ImageError, split_groups
from pyspiga_geo.data.transforms import Resample, SquareCrop

LAYOUT = Layout("triangle", ids=(1, 2, 3), flip=(1, 0, 2), contours={"all": (0, 1, 2)})


def record(name: str = "a.png", group: str | None = None) -> FaceRecord:
    landmarks = np.array([[30.0, 40], [10, 20], [np.nan, np.nan]])
    return FaceRecord(name, (5, 5, 30, 40), (2, 1, 3), landmarks, np.array([1.0, 0, 1]), None, group)


def test_rows_follow_the_layout_and_gaps_are_masked(tmp_path):
    Image.fromarray(np.zeros((50, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    face = AnnotatedFaces([record()], tmp_path, LAYOUT)[0]
    assert face.image.shape == (3, 50, 60)
    assert face.pos.tolist() == [[10, 20], [30, 40], [0, 0]]
    assert face.mask.tolist() == [True, True, False]
    assert face.visible.tolist() == [0, 1, 1]


def test_faces_batch_as_graphs(tmp_path):
    Image.fromarray(np.zeros((50, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    faces = AnnotatedFaces([record()] * 4, tmp_path, LAYOUT, Compose([SquareCrop(16), Resample(16)]))
    batch = next(iter(DataLoader(faces, batch_size=4)))
    assert batch.image.shape == (4, 3, 16, 16)
    assert batch.pos.shape == (12, 2)
    assert batch.batch.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_missing_picture_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"a\.png: no such file"):
        AnnotatedFaces([record()], tmp_path, LAYOUT)[0]


def test_groups_are_never_split():
    records = [record(group=f"person {index // 3}") for index in range(60)]
    training, validation = split_groups(records, 0.2, seed=1)
    assert len(training) + len(validation) == 60
    assert len(validation) == 12
    assert not {r.group for r in training} & {r.group for r in validation}
    again = split_groups(records, 0.2, seed=1)[1]
    assert [r.group for r in again] == [r.group for r in validation]
    assert [r.group for r in split_groups(records, 0.2, seed=2)[1]] != [r.group for r in validation]


def test_faces_without_a_group_stand_alone():
    _, validation = split_groups([record() for _ in range(10)], 0.3, seed=0)
    assert len(validation) == 3


def test_fraction_zero_keeps_all_for_training():
    assert torch.tensor([len(part) for part in split_groups([record()] * 4, 0.0, seed=0)]).tolist() == [4, 0]
