import torch
from torch_geometric.data import Batch

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.models import SPIGAOutput


def output(num_steps: int = 3, attention: list[torch.Tensor] | None = None) -> SPIGAOutput:
    """Two faces of four landmarks."""
    steps = [torch.rand(2, 4, 2) for _ in range(num_steps)]
    initial = torch.rand(2, 4, 2)
    final = steps[-1] if steps else initial
    return SPIGAOutput(final, steps, initial, torch.rand(2, 6), torch.rand(2, 8, 4, 4), attention)


def test_fields_of_a_face() -> None:
    out = output()
    for number, face in enumerate(out.to_data_list()):
        face.validate()
        assert face.num_nodes == 4
        assert torch.equal(face.pos, out.landmarks[number])
        assert torch.equal(face.initial, out.initial[number])
        assert torch.equal(face.pose, out.pose[number])
        assert face.steps.shape == (4, 3, 2)
        assert torch.equal(face.steps[:, 1], out.steps[1][number])
        assert torch.equal(face.steps[:, -1], face.pos)


def test_without_attention_the_graph_is_complete() -> None:
    face = output().to_data_list()[0]
    assert torch.equal(face.edge_index, complete_edges(4))
    assert "edge_weight" not in face


def test_edges_are_the_last_layers_attention_over_all_heads() -> None:
    alpha = torch.zeros(2, 2, 4, 4)  # face, head, listener, source
    alpha[0, 0, 1, 3], alpha[0, 1, 1, 3], alpha[0, 1, 2, 0] = 1.0, 0.5, 0.25
    alpha[1, 0, 0, 2] = 1.0
    expected = ({(3, 1): 0.75, (0, 2): 0.125}, {(2, 0): 0.5})
    for face, heard in zip(output(1, [alpha]).to_data_list(), expected, strict=True):
        # An edge whose weight has come down to 0 is still an edge.
        assert torch.equal(face.edge_index, complete_edges(4))
        edges = zip(face.edge_index.T.tolist(), face.edge_weight.tolist(), strict=True)
        assert {(j, i): w for (j, i), w in edges if w} == heard  # from source to target


def test_edges_are_those_that_the_model_was_given() -> None:
    edges = torch.tensor([[1, 0, 0, 2], [2, 1, 1, 2]])  # one twice, and a self-loop that attention passes over
    alpha = torch.zeros(2, 1, 4, 4)
    alpha[:, 0, 1, 0], alpha[:, 0, 2, 1] = 1.0, 1.0
    for attention in (None, [alpha]):
        face = output(1, attention)._replace(edge_index=edges).to_data_list()[0]
        assert face.edge_index.tolist() == [[0, 1], [1, 2]]
        assert "edge_weight" not in face or face.edge_weight.tolist() == [1, 1]


def test_who_attends_to_itself_has_an_edge_to_itself() -> None:
    alpha = torch.rand(2, 3, 4, 4).softmax(dim=-1)
    face = output(1, [alpha]).to_data_list()[1]
    assert face.edge_index.size(1) == 16
    heard = torch.zeros(4).index_add(0, face.edge_index[1], face.edge_weight)
    assert torch.allclose(heard, torch.ones(4))


def test_attention_of_every_step_layer_and_head() -> None:
    layers = [torch.rand(2, 3, 4, 4) for _ in range(6)]
    for number, face in enumerate(output(3, layers).to_data_list()):
        assert face.attention.shape == (4, 3, 2, 3, 4)
        for step, layer, head in ((0, 0, 0), (1, 0, 2), (2, 1, 1)):
            assert torch.equal(face.attention[:, step, layer, head], layers[2 * step + layer][number, head])
    other = [*layers[:5], torch.rand(2, 2, 4, 4)]  # layers of another number of heads
    assert "attention" not in output(3, other).to_data_list()[0]
    batch = Batch.from_data_list(output(3, layers).to_data_list())
    assert batch.attention.shape == (8, 3, 2, 3, 4)


def test_no_steps() -> None:
    face = output(num_steps=0).to_data_list()[0]
    assert face.steps.shape == (4, 0, 2)
    assert torch.equal(face.pos, face.initial)


def test_faces_batch() -> None:
    batch = Batch.from_data_list(output(1, attention=[torch.rand(2, 1, 4, 4)]).to_data_list())
    assert batch.pos.shape == (8, 2)
    assert batch.pose.shape == (2, 6)
    assert batch.steps.shape == (8, 1, 2)
    assert batch.edge_index.shape == (2, 32)
    assert (batch.edge_index // 4 == torch.tensor([0] * 16 + [1] * 16)).all()


def test_how_sure_goes_into_the_graphs() -> None:
    assert not {"covariance", "sigma", "visible"} & set(output().to_data_list()[0].keys())
    root, visible = torch.rand(2, 4, 2, 2), torch.rand(2, 4)
    out = output()._replace(covariance=root @ root.mT, visible=visible)
    for number, face in enumerate(out.to_data_list()):
        assert torch.equal(face.covariance, out.covariance[number])
        assert torch.equal(face.visible, visible[number])
        expected = torch.linalg.eigvalsh(face.covariance).mean(dim=1).sqrt()
        torch.testing.assert_close(face.sigma, expected, rtol=1e-4, atol=1e-6)
    assert Batch.from_data_list(out.to_data_list()).covariance.shape == (8, 2, 2)
