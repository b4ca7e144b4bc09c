import pytest
import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import LandmarkHead, LandmarkMaps
from pyspiga_geo.backbones.hourglass import Hourglass, Residual
from pyspiga_geo.backbones.multitask_hourglass import CoordinateChannels
from pyspiga_geo.models import MultitaskHourglass, soft_argmax

# Five landmarks in three boundaries: the second belongs to two, the last to none.
BOUNDARIES = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def make(num_stacks: int = 3, **sizes: int) -> MultitaskHourglass:
    return MultitaskHourglass(
        BOUNDARIES, **{"image_size": 32, "channels": 16, "depth": 1, **sizes}, num_stacks=num_stacks
    )


# ---- the whole


def test_shapes() -> None:
    backbone = make()
    images = torch.rand(2, 3, 32, 32)
    pose, (feature_map,), _ = backbone(images)
    assert pose.shape == (2, 6)
    assert feature_map.shape == (2, 16, 8, 8)
    stacks = backbone.forward_stacks(images)
    assert len(stacks) == 3
    for out in stacks:
        assert out.pose.shape == (2, 6)
        assert out.landmarks.shape == (2, 5, 2)
        assert out.points.shape == (2, 5, 8, 8)
        assert out.boundaries.shape == (2, 3, 8, 8)
        assert out.maps[-1].shape == (2, 16, 8, 8)
        assert 0 <= out.points.min() <= out.points.max() <= 1
        assert 0 <= out.boundaries.min() <= out.boundaries.max() <= 1
        assert 0 <= out.landmarks.min() <= out.landmarks.max() < 1


@pytest.mark.parametrize("num_stacks", [1, 3])
def test_forward_is_the_last_of_the_stacks(num_stacks: int) -> None:
    backbone = make(num_stacks).eval()
    images = torch.rand(2, 3, 32, 32)
    pose, (feature_map,), _ = backbone(images)
    stacks = backbone.forward_stacks(images)
    assert torch.equal(pose, stacks[-1].pose)
    assert torch.equal(feature_map, stacks[-1].maps[-1])
    if num_stacks > 1:
        assert not torch.allclose(feature_map, stacks[0].maps[-1])


def used_parameters(backbone: MultitaskHourglass, *outputs: Tensor) -> set[str]:
    """Names of the parameters that the outputs depend on."""
    sum(out.square().sum() for out in outputs).backward()
    return {name for name, parameter in backbone.named_parameters() if parameter.grad is not None}


def test_forward_leaves_out_what_only_training_needs() -> None:
    backbone = make()
    everything = {name for name, _ in backbone.named_parameters()}
    pose, maps, _ = backbone(torch.rand(2, 3, 32, 32))
    unused = everything - used_parameters(backbone, pose, *maps)
    heads = ("stacks.0.pose.", "stacks.0.core.", "stacks.1.pose.", "stacks.1.core.", "stacks.2.landmarks.")
    assert unused == {name for name in everything if name.startswith(heads)}
    assert sum(name.startswith("stacks.2.landmarks.") for name in unused) == 3


def test_training_reaches_every_parameter() -> None:
    backbone = make()
    stacks = backbone.forward_stacks(torch.rand(2, 3, 32, 32))
    outputs = [tensor for out in stacks for tensor in (*out.maps, *(part for part in out if part is not out.maps))]
    assert used_parameters(backbone, *outputs) == {name for name, _ in backbone.named_parameters()}


def test_last_landmark_head_is_not_run_by_forward() -> None:
    backbone = make().eval()
    calls: list[int] = []
    for number, stack in enumerate(backbone.stacks):
        stack.landmarks.register_forward_hook(lambda *_, number=number: calls.append(number))
    backbone(torch.rand(1, 3, 32, 32))
    assert calls == [0, 1]
    backbone.forward_stacks(torch.rand(1, 3, 32, 32))
    assert calls == [0, 1, 0, 1, 2]


def test_heatmaps_reach_the_next_stack() -> None:
    backbone = make(2).eval()
    images = torch.rand(1, 3, 32, 32)
    _, (before,), _ = backbone(images)
    nn.init.zeros_(backbone.stacks[0].merge_heatmaps.weight)
    _, (after,), _ = backbone(images)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize(
    ("image_size", "depth"),
    [(100, 2), (34, 1), (96, 2), (32, 4), (0, 1), (64, 0)],
    ids=lambda value: str(value),
)
def test_sizes_that_do_not_fit(image_size: int, depth: int) -> None:
    with pytest.raises(ValueError, match=f"image_size={image_size}, depth={depth}"):
        make(image_size=image_size, depth=depth)


@pytest.mark.parametrize(("image_size", "depth", "core"), [(32, 3, 1), (32, 1, 4), (64, 2, 4)])
def test_sizes_that_fit(image_size: int, depth: int, core: int) -> None:
    backbone = make(1, image_size=image_size, depth=depth).eval()
    pose, (feature_map,), _ = backbone(torch.rand(1, 3, image_size, image_size))
    assert feature_map.shape[-2:] == (image_size // 4, image_size // 4)
    assert pose.shape == (1, 6)
    assert len(backbone.stacks[0].core) == 2 * core.bit_length() - 2  # a residual and a halving each


# ---- its parts


def test_hourglass_returns_map_and_core() -> None:
    hourglass = Hourglass(3, 8).eval()
    innermost = []
    hourglass.low2.low2.low2.register_forward_hook(lambda *args: innermost.append(args[-1]))
    merged, core = hourglass(torch.rand(2, 8, 16, 16))
    assert merged.shape == (2, 8, 16, 16)
    assert core.shape == (2, 8, 2, 2)
    assert core is innermost[0]


@pytest.mark.parametrize(("channels", "skip"), [((8, 8), nn.Identity), ((8, 12), nn.Conv2d)])
def test_residual_skips(channels: tuple[int, int], skip: type[nn.Module]) -> None:
    residual = Residual(*channels).eval()
    nn.init.zeros_(residual.conv3.weight)
    x = torch.randn(2, 8, 4, 4)
    assert isinstance(residual.skip, skip)
    assert torch.equal(residual(x), residual.skip(x))


def test_coordinate_channels() -> None:
    images = torch.rand(2, 3, 5, 5)
    out = CoordinateChannels(5)(images)
    assert out.dtype == images.dtype
    assert torch.equal(out[:, :3], images)
    assert out[1, 3, :, 2].tolist() == [-1, -0.5, 0, 0.5, 1]  # down the rows
    assert out[1, 4, 2, :].tolist() == [-1, -0.5, 0, 0.5, 1]  # along the columns
    assert out[0, 5, 0, 4] == pytest.approx((1.5**2 + 0.5**2) ** 0.5)
    assert CoordinateChannels(5).double()(images.double()).dtype == torch.float64


def test_soft_argmax_finds_peaks() -> None:
    heatmaps = torch.zeros(2, 3, 8, 10)
    peaks = torch.tensor([[(0, 0), (9, 7), (5, 2)], [(1, 6), (4, 4), (8, 0)]])  # x, y
    for face, row in enumerate(peaks.tolist()):
        for landmark, (x, y) in enumerate(row):
            heatmaps[face, landmark, y, x] = 50
    assert torch.allclose(soft_argmax(heatmaps), peaks / torch.tensor([10, 8]), atol=1e-6)


def test_soft_argmax_is_an_expectation() -> None:
    heatmaps = torch.full((1, 2, 4, 4), -torch.inf)
    heatmaps[0, 0, 1, [0, 3]] = torch.tensor([1.0, 3.0]).log()  # a quarter and three quarters
    heatmaps[0, 1] = 7  # the same everywhere
    assert torch.allclose(soft_argmax(heatmaps), torch.tensor([[[2.25 / 4, 1 / 4], [1.5 / 4, 1.5 / 4]]]))


def test_gates_are_the_boundaries_of_a_landmark() -> None:
    maps = LandmarkHead(16, BOUNDARIES)(torch.randn(2, 16, 8, 8))
    first, second, third = maps.boundaries.unbind(dim=1)
    expected = [first, (first + second).clamp(max=1), second, third, torch.ones_like(first)]
    assert torch.allclose(maps.gates, torch.stack(expected, dim=1))
    assert maps.gates[:, 1].max() == 1  # the bound is reached somewhere
    assert torch.equal(maps.heatmaps, maps.maps * maps.points * maps.gates)


def test_closed_gates_exclude_a_place() -> None:
    evidence = torch.zeros(1, 1, 4, 4)
    evidence[0, 0, 0, 0], evidence[0, 0, 2, 3] = 6, 5  # (0, 0) looks better than (3, 2)
    gates = torch.ones(1, 1, 4, 4)
    everywhere = LandmarkMaps(evidence, torch.ones_like(gates), gates, gates)
    gates_closed = gates.clone()
    gates_closed[0, 0, 0, 0] = 0
    for points, gate in ((gates_closed, gates), (gates, gates_closed)):
        closed = LandmarkMaps(evidence, points, gates, gate).landmarks[0, 0]
        assert everywhere.landmarks[0, 0, 0] < 0.3
        assert closed[0] > 0.6
        assert closed[1] > 0.4
