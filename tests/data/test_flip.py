"""Mirroring a face: its picture, and the order of all that belongs to its landmarks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.transforms import Compose

from pyspiga_geo import FaceData, Layout, get_layout
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, Resample, SquareCrop

SIZE = 64
PHOTO = 192
LAYOUT = get_layout("ibug68")


@pytest.fixture(scope="module")
def faces() -> list[FaceData]:
    return list(SyntheticFaces(LAYOUT, num_faces=4, size=PHOTO))


def with_own_fields(face: FaceData) -> FaceData:
    """A face with node, edge and graph fields of all kinds, without `mask`."""
    fields = face.to_dict()
    del fields["mask"]
    edges = torch.tensor([[36, 37, 0], [37, 38, 8]])  # between the lids of the right eye; from ear to chin
    return FaceData(
        **fields,
        initial=face.pos + 1,
        steps=torch.stack([face.pos + 2, face.pos + 3], dim=1),
        x=torch.arange(68.0)[:, None].expand(68, 5),
        names=[f"landmark {row}" for row in range(68)],
        weights=np.arange(68),
        edge_index=edges,
        edge_weight=torch.tensor([0.1, 0.2, 0.3]),
        chin_index=torch.tensor([8, 16]),
        label=3,
    )


def same(first: Any, second: Any) -> bool:
    return bool(torch.equal(first, second) if isinstance(first, Tensor) else np.all(first == second))


def test_flip_exchanges_left_and_right(numbered_face: Callable[[], FaceData]) -> None:
    plain = Compose([SquareCrop(SIZE), Resample(SIZE)])(numbered_face())
    flipped = Compose([SquareCrop(SIZE), RandomFlip(SIZE, LAYOUT, p=1), Resample(SIZE)])(numbered_face())
    # Pixel x of one is pixel r - x of the other.
    assert torch.allclose(flipped.image[..., 1:], plain.image[..., 1:].flip(2), atol=1e-5)
    mirrored = plain.pos[list(LAYOUT.flip)] * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0])
    assert torch.allclose(flipped.pos, mirrored, atol=1e-6)
    assert flipped.visible.tolist() == list(LAYOUT.flip)


def test_flipping_twice_changes_nothing(faces: list[FaceData]) -> None:
    flip = RandomFlip(SIZE, LAYOUT, p=1)
    once = Compose([SquareCrop(SIZE), Resample(SIZE)])(with_own_fields(faces[0]))
    twice = Compose([SquareCrop(SIZE), flip, flip, Resample(SIZE)])(with_own_fields(faces[0]))
    assert set(twice.keys()) == set(once.keys())
    for key, value in once.to_dict().items():
        if key in ("image", "pos", "crop", "initial", "steps"):
            torch.testing.assert_close(twice[key], value, rtol=1e-4, atol=1e-4)
        else:
            assert same(twice[key], value), key


def test_flipping_is_looking_at_the_mirrored_photo(faces: list[FaceData]) -> None:
    size = 112  # no more than twice as small: no blocks, which may begin elsewhere in a mirrored photo
    cut, flip = [SquareCrop(size), Resample(size)], RandomFlip(size, LAYOUT, p=1)
    for face in faces:
        x, y, width, height = face.bbox.tolist()
        mirrored = FaceData(
            image=face.image.flip(2),
            pos=face.pos[list(LAYOUT.flip)] * torch.tensor([-1.0, 1]) + torch.tensor([PHOTO - 1.0, 0]),
            bbox=torch.tensor([PHOTO - 1 - x - width, y, width, height]),
        )
        flipped, expected = Compose([cut[0], flip, cut[1]])(face), Compose(cut)(mirrored)
        torch.testing.assert_close(flipped.pos, expected.pos, rtol=0, atol=1e-6)
        torch.testing.assert_close(flipped.image, expected.image, rtol=0, atol=1e-4)


def test_flip_takes_all_fields_along(faces: list[FaceData]) -> None:
    before, order = with_own_fields(faces[0]), list(LAYOUT.flip)
    after = Compose([SquareCrop(SIZE), RandomFlip(SIZE, LAYOUT, p=1)])(before)
    for key in ("pos", "initial", "steps", "visible", "x", "weights"):
        assert same(after[key], before[key][order]), key
    assert after.names == [f"landmark {row}" for row in order]
    assert after.edge_index.tolist() == [[45, 44, 16], [44, 43, 8]]  # the same edges on the left eye and ear
    assert after.chin_index.tolist() == [8, 0]
    for key in ("edge_weight", "image", "bbox", "pose", "label", "imgpath"):
        assert same(after[key], before[key]), key
    assert "mask" not in after


def test_graph_fields_with_as_many_rows_as_landmarks_are_left_alone() -> None:
    layout = Layout("four", ids=(1, 2, 3, 4), flip=(1, 0, 3, 2), contours={})
    box = torch.tensor([10.0, 20, 30, 31])
    edges = torch.tensor([[0, 1, 2, 0], [1, 2, 3, 3]])  # as many edges as landmarks
    face = FaceData(pos=torch.rand(4, 2), bbox=box, edge_index=edges, edge_weight=torch.arange(4.0))
    flipped = Compose([SquareCrop(SIZE), RandomFlip(SIZE, layout, p=1)])(face)
    assert flipped.bbox.equal(box)
    assert flipped.pos.equal(face.pos[[1, 0, 3, 2]])
    assert flipped.edge_index.tolist() == [[1, 0, 3, 1], [0, 3, 2, 2]]
    assert flipped.edge_weight.equal(face.edge_weight)


def test_faces_that_cannot_be_flipped() -> None:
    flip = RandomFlip(SIZE, LAYOUT, p=1)
    crop = torch.eye(3)
    with pytest.raises(ValueError, match="RandomFlip is for 68 landmarks, but the face has 5"):
        flip(FaceData(pos=torch.zeros(5, 2), crop=crop))
    with pytest.raises(ValueError, match="not as the sparse matrix 'adj_t'"):
        flip(FaceData(pos=torch.zeros(68, 2), crop=crop, adj_t=torch.eye(68).to_sparse()))
    for change in (flip, RandomAffine(SIZE), Resample(SIZE)):
        with pytest.raises(ValueError, match=rf"{type(change).__name__} goes after SquareCrop"):
            change(FaceData(pos=torch.zeros(68, 2)))


def test_a_layout_without_mirror_order_cannot_be_mirrored() -> None:
    with pytest.raises(ValueError, match=r"layout 'one-sided' has no mirror order"):
        RandomFlip(64, Layout("one-sided", (1, 2, 3)))
