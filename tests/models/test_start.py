import pytest
import torch
from torch import Tensor

from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.layouts import get_layout
from pyspiga_geo.models import BackboneOutput, MeanShape, PosedShape

SHAPE = get_layout("ibug68").shape3d


def seen(pose: Tensor | None) -> BackboneOutput:
    return BackboneOutput(pose, [torch.zeros(1, 3, 8, 8)], None)


def test_posed_shape_is_the_projected_face() -> None:
    pose = torch.tensor([[10.0, -5, 3, 0.1, 0, 5]], dtype=torch.float64)
    start = PosedShape(SHAPE, 8, 2.0).double()
    camera = camera_matrix(8, 2.0, dtype=torch.float64)
    assert torch.equal(start(seen(pose)), project(torch.tensor(SHAPE), pose, camera) / 8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_geometry_stays_precise_in_half_precision(dtype: torch.dtype) -> None:
    pose = torch.tensor([[10.0, -5, 3, 0.1, 0, 5]])
    start = PosedShape(SHAPE, 8)
    exact = start(seen(pose))
    assert start.to(dtype).shape3d.dtype == torch.float32
    assert torch.equal(start(seen(pose)), exact)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(start(seen(pose)), exact)


def test_double_gives_the_face_as_it_was_before_it_was_rounded() -> None:
    start = PosedShape(SHAPE, 8).half().float().double()
    assert torch.equal(start.shape3d, torch.tensor(SHAPE))


def test_a_loaded_face_is_kept() -> None:
    start, other = PosedShape(SHAPE, 8), PosedShape(2 * SHAPE, 8)
    start.load_state_dict(other.state_dict())
    for moved in (start, start.double(), start.to("cpu"), start.bfloat16().float()):
        assert torch.allclose(moved.shape3d.double(), torch.tensor(2 * SHAPE), atol=1e-6)


def test_loading_the_same_face_in_single_precision_loses_nothing() -> None:
    start = PosedShape(SHAPE, 8)
    start.load_state_dict(PosedShape(SHAPE, 8).state_dict())
    assert torch.equal(start.double().shape3d, torch.tensor(SHAPE))


def test_a_face_changed_in_place_is_what_is_used() -> None:
    start = PosedShape(SHAPE, 8)
    with torch.no_grad():
        start.shape3d.mul_(0.5)
    pose = torch.tensor([[0.0, 0, 0, 0, 0, 5]])
    assert torch.equal(start(seen(pose)), project(torch.tensor(SHAPE).float() * 0.5, pose, start.camera) / 8)


def test_a_backbone_without_pose_is_refused() -> None:
    with pytest.raises(ValueError, match="MeanShape"):
        PosedShape(SHAPE, 8)(seen(None))


def test_mean_shape_is_the_same_for_all() -> None:
    mean = [[0.25, 0.5], [0.75, 0.5]]
    start = MeanShape(mean)
    assert start(seen(None)).tolist() == [mean]
    assert list(start.state_dict()) == ["mean"]
    assert start.bfloat16()(seen(None)).dtype == torch.float32
