from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.utils import to_networkx

from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.graph import FaceData, complete_edges, contour_edges
from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.models import SPIGA, BackboneOutput

TinyModel = Callable[..., SPIGA]


def images(batch: int = 2, size: int = 32) -> Tensor:
    return torch.rand(batch, 3, size, size)


# ---- what comes out


@pytest.mark.parametrize(("layout", "count"), [("ibug68", 68), ("wflw98", 98)])
@pytest.mark.parametrize("preset", ["paper", "reference", "compact"])
def test_output(preset: str, layout: str, count: int, tiny_model: TinyModel) -> None:
    model = tiny_model(layout, preset)
    with torch.no_grad():
        out = model(images(), return_attention=True)
    assert out.landmarks.shape == (2, count, 2)
    assert [tuple(pos.shape) for pos in out.steps] == [(2, count, 2)] * 2
    assert torch.equal(out.steps[-1], out.landmarks)
    assert out.initial.shape == (2, count, 2)
    assert out.pose.shape == (2, 6)
    assert out.feature_map.shape == (2, 16, 8, 8)
    assert [tuple(alpha.shape) for alpha in out.attention] == [(2, 2, count, count)] * 4  # steps x layers
    for alpha in out.attention:
        assert torch.allclose(alpha.sum(dim=-1), torch.ones(()))
        assert (alpha.diagonal(dim1=-2, dim2=-1).max() == 0) == (preset != "reference")
    with torch.no_grad():
        assert model(images()).attention is None


def test_asking_for_attention_changes_nothing_else(tiny_model: TinyModel) -> None:
    model, faces = tiny_model().double(), images().double()
    with torch.no_grad():
        assert torch.allclose(model(faces).landmarks, model(faces, return_attention=True).landmarks, atol=1e-12)


def test_steps_are_bounded_by_half_a_shrinking_window(tiny_model: TinyModel) -> None:
    model = tiny_model(num_steps=3, window=0.4)
    with torch.no_grad():
        for step in model.cascade.steps:  # as far as possible
            step.decoder.mlp.lins[-1].bias.fill_(1e6)
        out = model(images())
    moves = torch.stack([out.steps[0] - out.initial, *(b - a for a, b in zip(out.steps, out.steps[1:], strict=False))])
    expected = torch.tensor([0.2, 0.1, 0.05]).view(3, 1, 1, 1)
    assert torch.allclose(moves, expected.expand_as(moves), atol=1e-5)


def test_buffers_carry_the_face(tiny_model: TinyModel) -> None:
    model = tiny_model("wflw98", focal_ratio=2.0)
    buffers = dict(model.named_buffers())
    assert torch.equal(buffers["start.shape3d"], torch.tensor(get_layout("wflw98").shape3d, dtype=torch.float32))
    assert model.start.camera.tolist() == [[16, 0, 4], [0, 16, 4], [0, 0, 1]]  # pixels of the 8 x 8 map
    assert {"shape3d", "camera"} < set(model.state_dict())
    assert not {"shape3d", "camera"} & {name for name, _ in model.named_parameters()}


def test_initial_shape_is_the_projected_face(tiny_model: TinyModel) -> None:
    model = tiny_model()
    with torch.no_grad():
        out = model(images())
    expected = project(model.start.shape3d, out.pose, camera_matrix(8)) / 8
    assert torch.allclose(out.initial, expected)
    model.start.shape3d.mul_(0.5)  # the buffer is what is used
    with torch.no_grad():
        assert not torch.allclose(model(images()).initial, expected, atol=1e-2)


def test_an_untrained_model_starts_from_a_frontal_face_that_fills_its_box() -> None:
    for layout in ("ibug68", "wflw98"):
        model = SPIGA.from_preset("compact", layout=layout)
        pose = torch.stack([stack.pose.bias for stack in model.backbone.stacks])
        initial = model.start(BackboneOutput(pose, [], None))
        low, high = initial.amin(dim=1), initial.amax(dim=1)
        assert torch.allclose((high - low).amax(dim=1), torch.tensor(1 / 1.6), atol=0.15)
        assert 0.1 < low.min() < high.max() < 0.9
        right, left = (get_layout(layout).ids.index(number) for number in (12, 7))  # outer corners of the eyes
        assert (initial[:, right, 1] - initial[:, left, 1]).abs().max() < 0.02
        assert (initial[:, right, 0] - initial[:, left, 0]).abs().min() > 0.2


def test_each_face_is_on_its_own(tiny_model: TinyModel) -> None:
    model, faces = tiny_model().double(), images(3).double()
    with torch.no_grad():
        together = model(faces).landmarks
        alone = torch.cat([model(face[None]).landmarks for face in faces])
    assert torch.allclose(together, alone, atol=1e-12)
    assert (together[0] - together[1]).abs().max() > 1e-6


def test_no_faces(tiny_model: TinyModel) -> None:
    with torch.no_grad():
        out = tiny_model()(images(0), return_attention=True)
    assert out.landmarks.shape == (0, 68, 2)
    assert out.pose.shape == (0, 6)
    assert out.to_data_list() == []


def test_gradients_reach_the_image_and_the_cascade(tiny_model: TinyModel) -> None:
    model, faces = tiny_model().train(), images(3).requires_grad_()
    model(faces).landmarks.square().sum().backward()
    assert faces.grad is not None
    assert faces.grad.abs().max() > 0
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in model.cascade.named_parameters(prefix="cascade")} < reached
    assert {name for name, _ in model.backbone.stem.named_parameters(prefix="backbone.stem")} < reached


# ---- channels


def test_reference_reads_blue_green_red(tiny_model: TinyModel) -> None:
    rgb, bgr = tiny_model(preset="reference", channel_order="rgb"), tiny_model(preset="reference")
    bgr.load_state_dict(rgb.state_dict())
    faces = images()
    with torch.no_grad():
        assert torch.equal(bgr(faces).landmarks, rgb(faces.flip(1)).landmarks)
        assert not torch.allclose(bgr(faces).landmarks, rgb(faces).landmarks, atol=1e-7)


def test_network_channels(tiny_model: TinyModel) -> None:
    red = torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1
    for preset, channel in (("paper", 0), ("compact", 0), ("reference", 2)):
        seen = tiny_model(preset=preset).to_network_channels(red)
        assert seen.mean(dim=(0, 2, 3)).argmax() == channel
    assert red[0, 0].min() == 1  # the user's tensor is as it was


# ---- bad images


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"got uint8 \[1, 3, 32, 32\]"),
        (torch.zeros(3, 32, 32), r"got float32 \[3, 32, 32\]"),
        (torch.zeros(1, 1, 32, 32), r"got float32 \[1, 1, 32, 32\]"),
        (torch.zeros(1, 4, 32, 32), r"got float32 \[1, 4, 32, 32\]"),
        (torch.zeros(1, 32, 32, 3), r"got float32 \[1, 32, 32, 3\]"),
        (torch.zeros(1, 3, 64, 64), r"got float32 \[1, 3, 64, 64\]"),
        (torch.zeros(1, 3, 32, 31), r"got float32 \[1, 3, 32, 31\]"),
    ],
    ids=["integers", "one image", "grey", "rgba", "channels last", "large", "not square"],
)
def test_bad_images(bad: Tensor, told: str, tiny_model: TinyModel) -> None:
    with pytest.raises(ValueError, match=r"images must be float \[B, 3, 32, 32\] in 0\.\.1, " + told):
        tiny_model()(bad)


def test_layout_without_a_shape() -> None:
    flat = Layout("flat", ids=(1, 2), flip=(1, 0), contours={})
    with pytest.raises(ValueError, match="'flat' has no rigid 3-D shape"):
        SPIGA.from_preset("compact", layout=flat)
    with pytest.raises(ValueError, match=r"unknown layout 'cats'; known: .*ibug68, .*wflw98"):
        SPIGA.from_preset("compact", layout="cats")


# ---- the graph


def test_complete_edges_are_the_default(tiny_model: TinyModel) -> None:
    model, faces = tiny_model().double(), images().double()
    with torch.no_grad():
        expected = model(faces, return_attention=True)
        out = model(faces, complete_edges(68), return_attention=True)
    assert torch.allclose(out.landmarks, expected.landmarks, atol=1e-12)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(out.attention, expected.attention, strict=True))


def test_attention_follows_the_edges(tiny_model: TinyModel) -> None:
    model, faces = tiny_model(hidden_channels=64).double(), images().double()
    edges = contour_edges(model.layout)
    with torch.no_grad():
        out = model(faces, edge_index=edges, return_attention=True)
        complete = model(faces)
    adjacency = torch.zeros(68, 68, dtype=torch.bool)
    adjacency[edges[1], edges[0]] = True
    for alpha in out.attention:
        assert torch.equal(alpha > 0, adjacency.expand_as(alpha))
    assert (out.landmarks - complete.landmarks).abs().max() > 1e-9


@pytest.mark.parametrize("conv", ["gcn", "sage", "none"])
def test_other_operators(conv: str, tiny_model: TinyModel) -> None:
    model = tiny_model(conv=conv)
    with torch.no_grad():
        assert model(images()).landmarks.shape == (2, 68, 2)
        with pytest.raises(ValueError, match="has no attention weights"):
            model(images(), return_attention=True)


def test_a_function_as_operator(tiny_model: TinyModel) -> None:
    class Mean(nn.Module):
        def __init__(self, in_channels: int, out_channels: int) -> None:
            super().__init__()
            self.lin = nn.Linear(in_channels, out_channels)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return torch.zeros_like(x).index_add(0, edge_index[1], self.lin(x)[edge_index[0]]) / 67

    model = tiny_model(conv=Mean)
    assert model(images()).landmarks.shape == (2, 68, 2)
    assert sum(isinstance(module, Mean) for module in model.modules()) == 4


def test_graphs_of_a_batch(tiny_model: TinyModel) -> None:
    with torch.no_grad():
        out = tiny_model()(images(), return_attention=True)
    faces = out.to_data_list()
    assert len(faces) == 2
    assert all(isinstance(face, FaceData) for face in faces)
    graph: Any = to_networkx(faces[1], node_attrs=["pos"], edge_attrs=["edge_weight"])
    assert isinstance(graph, nx.DiGraph)
    assert graph.number_of_nodes() == 68
    assert graph.number_of_edges() == 68 * 67
    assert np.allclose(graph.nodes[30]["pos"], out.landmarks[1, 30])
    heard = out.attention[-1][1].mean(dim=0)  # row i: what i listens to
    assert graph.edges[3, 5]["edge_weight"] == pytest.approx(float(heard[5, 3]))
    assert graph.in_degree(8, weight="edge_weight") == pytest.approx(1, abs=1e-5)


# ---- export; what `pyspiga-geo export` makes of a model is in tests/inference/test_export.py


@pytest.mark.slow
def test_compact_model_exports() -> None:
    model = SPIGA.from_preset("compact").eval()
    faces, others = images(2, 128), images(2, 128)
    with torch.no_grad():
        found, expected = torch.export.export(model, (faces,)).module()(others), model(others)
    for name in ("landmarks", "initial", "pose", "feature_map"):
        assert torch.allclose(getattr(found, name), getattr(expected, name), atol=1e-5), name
    assert len(found.steps) == 3
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found.steps, expected.steps, strict=True))
    assert not torch.allclose(found.feature_map, model(faces).feature_map, atol=1e-3)


@pytest.mark.slow
def test_exported_model_takes_any_number_of_faces(tiny_model: TinyModel) -> None:
    model = tiny_model(uncertainty=True)
    with torch.no_grad():
        shapes = ({0: torch.export.Dim("faces")}, None, None)
        program = torch.export.export(model, (images(2), None, True), dynamic_shapes=shapes)
        for count in (1, 5):
            faces = images(count)
            found, expected = program.module()(faces, None, True), model(faces, return_attention=True)
            assert torch.allclose(found.landmarks, expected.landmarks, atol=1e-5)
            assert torch.allclose(found.attention[-1], expected.attention[-1], atol=1e-5)
            assert torch.allclose(found.covariance, expected.covariance, rtol=1e-3)
            assert torch.allclose(found.visible, expected.visible, atol=1e-5)
