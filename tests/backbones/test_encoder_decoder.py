import pytest
import torch
from torch import Tensor

from pyspiga_geo.backbones import EncoderDecoder

# Five landmarks in three boundaries: the second belongs to two, the last to none.
BOUNDARIES = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def make(**options: object) -> EncoderDecoder:
    return EncoderDecoder(BOUNDARIES, **{"channels": (16, 8), **options})


def tensors(out: tuple[object, ...]) -> list[Tensor]:
    """All tensors of an output, those of its list of maps too."""
    flat = [part for field in out for part in (field if isinstance(field, list) else [field])]
    return [part for part in flat if part is not None]


# ---- the protocol


@pytest.mark.parametrize("encoder", ["lite0", "lite2"])
@pytest.mark.parametrize("full_size", [False, True])
@pytest.mark.parametrize(("heatmap_stride", "size"), [(4, 32), (8, 16)])
def test_shapes(heatmap_stride: int, size: int, full_size: bool, encoder: str) -> None:
    backbone = make(heatmap_stride=heatmap_stride, full_size=full_size, encoder=encoder)
    (out,) = backbone.forward_stacks(torch.rand(2, 3, 128, 128))
    assert out.pose.shape == (2, 6)
    assert out.landmarks.shape == (2, 5, 2)
    assert out.points.shape == out.heatmaps.shape == (2, 5, size, size)
    assert out.boundaries.shape == (2, 3, size, size)
    for feature_map, channels, stride in zip(out.maps, backbone.channels, backbone.strides, strict=True):
        assert feature_map.shape == (2, channels, 128 // stride, 128 // stride)


@pytest.mark.parametrize("heatmap_stride", [4, 8])
@pytest.mark.parametrize("pose", [True, False])
def test_forward_is_the_last_of_the_stacks(heatmap_stride: int, pose: bool) -> None:
    backbone = make(heatmap_stride=heatmap_stride, pose=pose).eval()
    images = torch.rand(2, 3, 64, 64)
    seen, last = backbone(images, return_heatmaps=True), backbone.forward_stacks(images)[-1]
    expected = tensors((last.pose, last.maps, last.heatmaps))
    assert len(expected) == (4 if pose else 3)
    assert all(torch.equal(a, b) for a, b in zip(tensors(seen), expected, strict=True))
    assert (seen.pose is None) == (not pose)
    assert backbone(images).heatmaps is None


@pytest.mark.parametrize(("heatmap_stride", "full_size"), [(4, False), (8, False), (8, True)])
def test_training_reaches_every_parameter(heatmap_stride: int, full_size: bool) -> None:
    backbone = make(heatmap_stride=heatmap_stride, full_size=full_size)
    (out,) = backbone.forward_stacks(torch.rand(2, 3, 64, 64))
    torch.stack([part.square().sum() for part in tensors(out)]).sum().backward()
    untouched = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched


def test_no_pose_head_no_parameters_of_it() -> None:
    names = {name.partition(".")[0] for name, _ in make(pose=False).named_parameters()}
    assert names == {name.partition(".")[0] for name, _ in make().named_parameters()} - {"pose", "core"}


def test_other_memory_layouts_and_types() -> None:
    backbone, images = make().eval(), torch.rand(2, 3, 64, 64)
    single = tensors(backbone(images, return_heatmaps=True))
    last = backbone.to(memory_format=torch.channels_last)(
        images.contiguous(memory_format=torch.channels_last), return_heatmaps=True
    )
    double = backbone.double()(images.double(), return_heatmaps=True)
    for a, b, c in zip(single, tensors(last), tensors(double), strict=True):
        assert c.dtype == torch.float64
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
        assert torch.allclose(a, c.float(), rtol=1e-4, atol=1e-5)


def test_autocast_gives_poses_and_positions_in_single_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        (out,) = make().forward_stacks(torch.rand(2, 3, 64, 64))
    assert out.pose.dtype == out.landmarks.dtype == out.heatmaps.dtype == torch.float32


@pytest.mark.parametrize("full_size", [False, True])
@pytest.mark.parametrize("size", [32, 96])
def test_any_multiple_of_32(size: int, full_size: bool) -> None:
    (out,) = make(full_size=full_size).eval().forward_stacks(torch.rand(2, 3, size, size))
    assert [each.shape[-2:] for each in out.maps] == [(size // 8, size // 8), (size // 4, size // 4)]
    assert out.landmarks.isfinite().all()
    assert out.pose.isfinite().all()


@pytest.mark.parametrize("shape", [(1, 3, 80, 80), (1, 3, 64, 128), (1, 4, 64, 64), (3, 64, 64), (1, 3, 0, 0)], ids=str)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must be \[B, 3, S, S\] with S a multiple of 32"):
        make()(torch.rand(shape))


def test_unknown_heatmap_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="heatmap_stride must be 8 or 4, got 16"):
        make(heatmap_stride=16)


def test_full_size_is_a_bool() -> None:
    with pytest.raises(ValueError, match="full_size must be true or false, got 'no'"):
        make(full_size="no")


@pytest.mark.slow
def test_export() -> None:
    backbone, images = make().eval(), torch.rand(2, 3, 64, 64)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(backbone, (images, True), dynamic_shapes=({0: batch}, None)).module()
    images = torch.rand(3, 3, 64, 64)
    for a, b in zip(tensors(exported(images, True)), tensors(backbone(images, True)), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
