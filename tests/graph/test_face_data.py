import re

import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from pyspiga_geo.graph import FaceData


def face(number: int, landmarks: int = 5) -> FaceData:
    """A face whose values all tell which one it is."""
    return FaceData(
        pos=torch.rand(landmarks, 2) + number,
        initial=torch.rand(landmarks, 2) + number,
        steps=torch.rand(landmarks, 3, 2) + number,
        covariance=torch.eye(2).repeat(landmarks, 1, 1) * number,
        sigma=torch.full((landmarks,), float(number)),
        visible=torch.full((landmarks,), float(number)),
        mask=torch.arange(landmarks) > number,
        edge_index=torch.tensor([[0, 1, landmarks - 1], [1, 0, 0]]),
        edge_weight=torch.full((3,), float(number)),
        image=torch.full((3, 8, 6), float(number)),
        bbox=torch.tensor([number, 0, 10, 12]).float(),
        pose=torch.full((6,), float(number)),
        camera=torch.eye(3) * number,
        crop=torch.eye(3) + number,
    )


def test_landmarks_are_the_nodes() -> None:
    data = face(1)
    assert data.num_nodes == 5
    assert data.num_edges == 3
    assert data.validate()


def test_graph_fields_get_a_batch_dimension() -> None:
    batch = Batch.from_data_list([face(1), face(2)])
    assert batch.image.shape == (2, 3, 8, 6)
    assert batch.bbox.shape == (2, 4)
    assert batch.pose.shape == (2, 6)
    assert batch.camera.shape == (2, 3, 3)
    assert batch.crop.shape == (2, 3, 3)
    assert batch.image[:, 0, 0, 0].tolist() == [1, 2]
    assert batch.bbox[:, 0].tolist() == [1, 2]


def test_node_fields_are_joined_and_edges_renumbered() -> None:
    faces = [face(1), face(2, landmarks=7), face(3)]
    batch = Batch.from_data_list(faces)
    assert batch.num_nodes == 17
    assert torch.equal(batch.pos, torch.cat([each.pos for each in faces]))
    assert torch.equal(batch.initial, torch.cat([each.initial for each in faces]))
    assert torch.equal(batch.steps, torch.cat([each.steps for each in faces]))
    assert batch.visible.tolist() == [1] * 5 + [2] * 7 + [3] * 5
    assert batch.mask.dtype == torch.bool
    assert batch.mask.shape == (17,)
    assert batch.edge_index.tolist() == [[0, 1, 4, 5, 6, 11, 12, 13, 16], [1, 0, 0, 6, 5, 5, 13, 12, 12]]
    assert batch.edge_weight.tolist() == [1] * 3 + [2] * 3 + [3] * 3
    assert batch.batch.tolist() == [0] * 5 + [1] * 7 + [2] * 5


def test_batch_comes_apart_again() -> None:
    faces = [face(1), face(2, landmarks=7)]
    for before, after in zip(faces, Batch.from_data_list(faces).to_data_list(), strict=True):
        assert isinstance(after, FaceData)
        assert set(after.keys()) == set(before.keys())
        for key in before.keys():  # noqa: SIM118 - Data iterates over pairs
            assert torch.equal(after[key], before[key]), key


def test_loader_batches_faces() -> None:
    (batch,) = DataLoader([face(1), face(2)], batch_size=2)
    assert batch.image.shape == (2, 3, 8, 6)
    assert batch.pos.shape == (10, 2)


def test_fields_may_be_missing() -> None:
    batch = Batch.from_data_list([FaceData(pos=torch.zeros(5, 2)), FaceData(pos=torch.ones(5, 2))])
    assert batch.pos.shape == (10, 2)
    assert "image" not in batch


def test_only_numbers_of_nodes_are_raised_in_batching() -> None:
    """Those of edges, and fields of one's own whose names say so."""
    faces = [face(1), face(2)]
    assert {key for key, value in faces[0] if faces[0].__inc__(key, value)} == {"edge_index"}
    for each in faces:
        each.number, each.chin_index = 7, torch.tensor([2])
    batch = Batch.from_data_list(faces)
    assert batch.number.tolist() == [7, 7]
    assert batch.chin_index.tolist() == [2, 5 + 2]


def test_every_agreed_field_is_documented() -> None:
    assert FaceData.__doc__ is not None
    for key in face(1).keys():  # noqa: SIM118 - Data iterates over pairs
        assert re.search(rf"^ +{key}: (node|edge|graph) field \[", FaceData.__doc__, re.MULTILINE), key
