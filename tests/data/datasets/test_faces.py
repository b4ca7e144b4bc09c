from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from pyspiga_geo import FaceData, get_layout
from pyspiga_geo.data import AnnotatedFaces, FaceRecord, PtsFolder, SyntheticFaces
from pyspiga_geo.data.datasets.faces import FaceDataset

LAYOUT = get_layout("ibug68")


def pictures(folder: Path) -> list[str]:
    """Four pictures, each of another grey."""
    for number in range(4):
        Image.fromarray(np.full((9, 9), 50 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    return [f"{number}.png" for number in range(4)]


def synthetic(folder: Path) -> FaceDataset:
    return SyntheticFaces(LAYOUT, num_faces=4, size=24)


def annotated(folder: Path) -> FaceDataset:
    points, box = np.ones((68, 2)), (1.0, 1.0, 5.0, 5.0)
    names = pictures(folder)
    return AnnotatedFaces([FaceRecord(name, box, LAYOUT.ids, points, np.ones(68)) for name in names], folder, LAYOUT)


def published(folder: Path) -> FaceDataset:
    for name in pictures(folder):
        points = "\n".join(f"{1 + row % 8} {1 + row // 8}" for row in range(68))
        (folder / name).with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    return PtsFolder(folder, "all")


@pytest.fixture(params=[synthetic, annotated, published])
def faces(request: pytest.FixtureRequest, tmp_path: Path) -> FaceDataset:
    make: Callable[[Path], FaceDataset] = request.param
    return make(tmp_path)


def equal(first: FaceData, second: FaceData) -> bool:
    return first.imgpath == second.imgpath and torch.equal(first.image, second.image)


def test_numbers_from_the_end(faces: FaceDataset) -> None:
    for number in range(1, 5):
        assert equal(faces[-number], faces[4 - number])
    assert equal(faces[np.int64(2)], faces[2])
    assert not equal(faces[-1], faces[0])


@pytest.mark.parametrize("number", [4, -5, 100])
def test_numbers_beyond_the_end(number: int, faces: FaceDataset) -> None:
    with pytest.raises(IndexError, match=f"face {number} of 4"):
        faces[number]
    with pytest.raises(IndexError, match=f"face {number} of 4"):
        faces[[0, number]]


@pytest.mark.parametrize("part", [slice(1, 3), slice(None, None, -1), slice(-2, None), slice(2, 100), slice(3, 1)])
def test_slices(part: slice, faces: FaceDataset) -> None:
    chosen, expected = faces[part], range(4)[part]
    assert isinstance(chosen, Subset)
    assert len(chosen) == len(expected)
    for face, number in zip(chosen, expected, strict=True):
        assert equal(face, faces[number])


def test_sequences_and_parts_of_parts(faces: FaceDataset) -> None:
    chosen = faces[[3, 0, -2]]
    assert [face.imgpath for face in chosen] == [faces[number].imgpath for number in (3, 0, 2)]
    assert equal(chosen[1:][0], faces[0])


def test_what_is_no_number(faces: FaceDataset) -> None:
    for item in ("first", 1.0, None):
        with pytest.raises(TypeError):
            faces[item]


def test_one_can_go_through_all_faces(faces: FaceDataset) -> None:
    assert len(list(faces)) == 4
