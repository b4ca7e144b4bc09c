"""The preset ``reference`` gives the authors' numbers, in float64."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from pyspiga_geo.cli import main
from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.models import SPIGA, SPIGAOutput

TOLERANCE = 1e-8
SIZE = 128  # of the small network's images

State = dict[str, Tensor]


def difference(ours: Tensor, theirs: Any) -> float:
    theirs = torch.as_tensor(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.float64
    assert ours.isfinite().all()
    return float((ours - theirs).abs().max())


def differences(ours: SPIGAOutput, theirs: dict[str, Any]) -> dict[str, float]:
    """Largest difference of each output to the independent implementation."""
    assert ours.attention is not None
    assert len(ours.steps) == len(theirs["landmarks"]) == 3
    assert len(ours.attention) == len(theirs["attention"]) == 12
    return {
        "pose": difference(ours.pose, theirs["pose"]),
        "initial": difference(ours.initial, theirs["initial"]),
        "field": difference(ours.feature_map, theirs["visual_field"]),
        **{f"step {t}": difference(ours.steps[t], theirs["landmarks"][t]) for t in range(3)},
        **{f"attention {n}": difference(ours.attention[n], theirs["attention"][n]) for n in range(12)},
    }


def run(model: SPIGA, bgr: Tensor) -> SPIGAOutput:
    with torch.no_grad():
        return model(bgr.flip(1), return_attention=True)


def run_reference(reference: ModuleType, state: State, bgr: Tensor, layout: Layout) -> dict[str, Any]:
    with torch.no_grad():
        return reference.reference_forward(state, bgr, layout.shape3d, layout.boundary_matrix)


def small_images() -> Tensor:
    """Two images, blue, green, red."""
    return torch.as_tensor(np.random.default_rng(7).random((2, 3, SIZE, SIZE)))


# ---- small: runs everywhere


@pytest.fixture(scope="module")
def expected(reference: ModuleType, small_state: Callable[[str], State]) -> Callable[[str], dict[str, Any]]:
    """What the independent implementation says about ``small_images``, computed once a layout."""
    known: dict[str, dict[str, Any]] = {}

    def make(name: str) -> dict[str, Any]:
        if name not in known:
            known[name] = run_reference(reference, small_state(name), small_images(), get_layout(name))
        return known[name]

    return make


@pytest.mark.parametrize("layout", ["ibug68", "wflw98"])
def test_small_reference_is_matched(
    layout: str,
    expected: Callable[[str], dict[str, Any]],
    small_model: Callable[..., SPIGA],
    small_state: Callable[[str], State],
) -> None:
    model = small_model(layout)
    model.load_reference_state_dict(small_state(layout))
    found = differences(run(model, small_images()), expected(layout))
    assert max(found.values()) < TOLERANCE, found


def test_small_reference_exercises_what_matters(expected: Callable[[str], dict[str, Any]]) -> None:
    out = expected("ibug68")
    assert ((out["initial"] > 0) & (out["initial"] < 1)).double().mean() > 0.9  # the face is in the picture
    positions = [out["initial"], *out["landmarks"]]
    moved = [(after - before).abs() / (0.125 / 2**t) for t, (before, after) in enumerate(pairwise(positions))]
    # 1: as far as the window lets it. Many move freely, neither hardly at all nor held back.
    assert all(((step > 0.05) & (step < 0.95)).double().mean() > 0.3 for step in moved)
    assert max(step.max() for step in moved) > 1 - 1e-12  # some are held back by the bound
    peak = torch.stack(out["attention"]).amax(dim=-1)
    assert peak.median() > 2 / 68  # far from uniform
    assert (positions[0][0] - positions[0][1]).abs().max() > 1e-4  # the two images differ


@pytest.mark.parametrize(
    "override",
    [
        {"channel_order": "rgb"},
        {"include_self": False},
        {"scale": False},
        {"bound": "arctan"},
        {"window": 0.2},
    ],
    ids=lambda override: next(iter(override)),
)
def test_each_option_of_the_preset_matters(
    override: dict[str, Any],
    expected: Callable[[str], dict[str, Any]],
    small_model: Callable[..., SPIGA],
    small_state: Callable[[str], State],
) -> None:
    model = small_model("ibug68", **override)
    model.load_reference_state_dict(small_state("ibug68"))
    assert difference(run(model, small_images()).landmarks, expected("ibug68")["landmarks"][-1]) > 1e-4


def test_small_reference_feels_every_entry(
    reference: ModuleType, entries: ModuleType, small_state: Callable[[str], State], float64: None
) -> None:
    state = {name: value.requires_grad_(value.is_floating_point()) for name, value in small_state("ibug68").items()}
    layout = get_layout("ibug68")
    out = reference.reference_forward(state, small_images(), layout.shape3d, layout.boundary_matrix)
    sum(torch.einsum("...,...->", x, torch.randn_like(x)) for x in (*out["landmarks"], *out["attention"])).backward()
    unfelt = {name for name, value in state.items() if value.grad is None or value.grad.abs().max() < 1e-9}
    constants = {name for name in state if entries.is_constant(name)}
    # Not used, but part of the state dict: skips of equal width, and the cores of all stacks but the last. And what
    # is added to all keys alike is lost in the softmax.
    idle = {name for name in state if re.search(r"hgs_core\.0\.|skip_layer|attn\.proj\.1\.bias", name)}
    used_skips = {f"visual_cnn.pre.{number}.skip_layer.conv.weight" for number in (2, 5)}
    assert unfelt == constants | idle - used_skips


def test_parity_of_a_model_that_was_made_in_float32(
    entries: ModuleType, expected: Callable[[str], dict[str, Any]], small_state: Callable[[str], State]
) -> None:
    model = SPIGA.from_preset("reference", layout="wflw98", **entries.SMALL).eval().double()
    model.load_reference_state_dict(small_state("wflw98"))
    found = differences(run(model, small_images()), expected("wflw98"))
    assert max(found.values()) < TOLERANCE, found


# ---- full size: needs the parity kit


class Kit(NamedTuple):
    layout: Layout
    arrays: dict[str, np.ndarray]
    state: State
    bgr: Tensor


@pytest.fixture(scope="module", params=["ibug68", pytest.param("wflw98", marks=pytest.mark.slow)])
def full(request: pytest.FixtureRequest, shared: Path, kit: ModuleType) -> Kit:
    """The kit of a layout: what the reference network returned, its parameters and its images."""
    with np.load(shared / "parity" / f"{request.param}.npz") as file:
        arrays = dict(file)
    state = {}
    for line in (shared / "parity" / f"{request.param}_state_dict.tsv").read_text().splitlines():
        name, _, shape = line.partition("\t")
        sizes = tuple(int(size) for size in shape.split("x")) if shape else ()
        state[name] = torch.as_tensor(kit.fill(name, sizes, int(arrays["salt"])))
    bgr = torch.as_tensor(np.random.default_rng(int(arrays["image_seed"])).random((2, 3, 256, 256)))
    return Kit(get_layout(request.param), arrays, state, bgr)


def test_full_reference_is_matched(full: Kit, float64: None) -> None:
    model = SPIGA.from_preset("reference", layout=full.layout).eval()
    model.load_reference_state_dict(full.state)
    out = run(model, full.bgr[:1])  # the first image: half the time
    assert out.attention is not None
    assert len(out.steps) == 3
    assert len(out.attention) == 12
    theirs = {name: full.arrays[name][:1] for name in ("pose", "initial", "visual_field", "attention_first")}
    found = {
        "shape3d": difference(model.start.shape3d, full.arrays["model3d"]),
        "camera": difference(model.start.camera, full.arrays["camera"]),
        "pose": difference(out.pose, theirs["pose"]),
        "initial": difference(out.initial, theirs["initial"]),
        "steps": difference(torch.stack(out.steps), full.arrays["landmarks"][:, :1]),
        "landmarks": difference(out.landmarks, full.arrays["landmarks"][-1][:1]),
        "field": difference(out.feature_map[:, ::16, ::4, ::4], theirs["visual_field"]),
        "first attention": difference(out.attention[0][:, :, ::7], theirs["attention_first"]),
        "last attention": difference(out.attention[-1][:, :, ::7], full.arrays["attention_last"][:1]),
    }
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.slow
def test_converted_weights_give_the_same_landmarks(full: Kit, tmp_path: Path) -> None:
    weights, converted = tmp_path / "reference.pt", tmp_path / "converted.safetensors"
    torch.save({name: value.float() for name, value in full.state.items()}, weights)
    main(["convert", str(weights), str(converted)])
    model = SPIGA.from_pretrained(converted)
    assert model.layout.name == full.layout.name
    with torch.no_grad():
        found = model(full.bgr.flip(1).float()).landmarks
    assert (found - torch.as_tensor(full.arrays["landmarks"][-1])).abs().max() < 1e-4  # in single precision


@pytest.mark.slow
def test_independent_implementation_is_the_reference(full: Kit, reference: ModuleType, entries: ModuleType) -> None:
    landmarks, columns = full.layout.boundary_matrix.shape
    shapes = entries.reference_shapes(landmarks, columns - 1)
    assert shapes == {name: tuple(value.shape) for name, value in full.state.items()}

    out = run_reference(reference, full.state, full.bgr[:1], full.layout)
    theirs = {name: full.arrays[name][:1] for name in ("pose", "initial", "visual_field", "attention_first")}
    found = {
        "pose": difference(out["pose"], theirs["pose"]),
        "initial": difference(out["initial"], theirs["initial"]),
        "steps": difference(torch.stack(out["landmarks"]), full.arrays["landmarks"][:, :1]),
        "field": difference(out["visual_field"][:, ::16, ::4, ::4], theirs["visual_field"]),
        "first attention": difference(out["attention"][0][:, :, ::7], theirs["attention_first"]),
        "last attention": difference(out["attention"][-1][:, :, ::7], full.arrays["attention_last"][:1]),
    }
    assert max(found.values()) <= TOLERANCE, found
