"""Optimized models give the same landmarks."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch._inductor import config as inductor

from pyspiga_geo import SPIGA, FaceAligner

SMALL = {"num_steps": 2, "num_layers": 1, "node_channels": 16, "hidden_channels": 16, "channels": 16}
KINDS = {
    "hourglass": {"image_size": 64, "num_stacks": 2, "depth": 2},
    "bgr, no heatmaps": {
        "image_size": 64,
        "num_stacks": 2,
        "depth": 2,
        "channel_order": "bgr",
        "heatmap_windows": False,
    },
    "encoder_decoder": {"image_size": 64, "backbone": "encoder_decoder"},
    "layer_norm": {"image_size": 64, "num_stacks": 1, "depth": 2, "norm": "layer_norm"},
}


def model_of(kind: str) -> SPIGA:
    """A model whose batch norms have statistics of their own, in double precision."""
    model = SPIGA.from_preset("compact", **(SMALL | KINDS[kind])).double()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return model.eval()


def off() -> dict[str, bool]:
    return {"fold": False, "drop_heads": False, "channels_last": False}


@pytest.mark.parametrize(
    ("kind", "switch"),
    [
        *(("hourglass", switch) for switch in (None, "fold", "drop_heads", "channels_last")),
        *((kind, "all") for kind in KINDS),
    ],
)
def test_each_switch_is_exact(kind: str, switch: str | None) -> None:
    model = model_of(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    switches = {} if switch == "all" else off() | ({} if switch is None else {switch: True})
    fast = model.optimize(**switches, dtype=torch.float64)
    images = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected, found = model(images), fast(images)
    for name in ("landmarks", "initial", "pose", "feature_map"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_each_switch_does() -> None:
    model = model_of("bgr, no heatmaps")
    count = sum(parameter.numel() for parameter in model.parameters())
    folded = model.optimize(**(off() | {"fold": True}))
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    dropped = model.optimize(**(off() | {"drop_heads": True}))
    assert sum(parameter.numel() for parameter in dropped.parameters()) < count
    last = model.optimize(**(off() | {"channels_last": True}))
    assert last.backbone.stem[0].conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_precisions(dtype: torch.dtype) -> None:
    model = model_of("hourglass")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = model(images.double()).landmarks, model.optimize(dtype=dtype)(images).landmarks
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < (1e-4 if dtype == torch.float32 else 0.02)


def test_bad_arguments(tmp_path) -> None:
    model = model_of("layer_norm")
    with pytest.raises(ValueError, match="dtype must be one of float32"):
        model.optimize(dtype=torch.int8)
    with pytest.raises(ValueError, match="optimized, cannot be saved"):
        model.optimize().save(tmp_path / "a.safetensors")
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(ValueError, match=r"needs a C\+\+ compiler"):
        model.optimize(compile=True)


@pytest.mark.slow
def test_compiled_for_any_number_of_faces() -> None:
    """One compilation for one face and one for all other numbers; what inductor makes of them is a slow test."""
    model = SPIGA.from_preset("compact", **(SMALL | KINDS["layer_norm"])).eval()
    fast = model.optimize()
    counter = CompileCounter()
    fast.compile(dynamic=True, fullgraph=True, backend=counter)
    with torch.no_grad():
        for count in (2, 1, 7, 3):
            images = torch.rand(count, 3, 64, 64)
            torch.testing.assert_close(fast(images).landmarks, model(images).landmarks, rtol=0, atol=1e-4)
    assert counter.frame_count == 2
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_is_the_same() -> None:
    model = SPIGA.from_preset("compact", **(SMALL | KINDS["hourglass"])).eval()
    fast = model.optimize(compile=True)
    with torch.no_grad():
        for count in (1, 2, 5):
            images = torch.rand(count, 3, 64, 64)
            torch.testing.assert_close(fast(images).landmarks, model(images).landmarks, rtol=0, atol=1e-4)


def test_an_aligner_runs_it() -> None:
    model = model_of("hourglass").float()
    photo, boxes = torch.rand(3, 120, 140), [[30.0, 20.0, 50.0, 60.0]]
    (found,), (expected,) = FaceAligner(model.optimize())(photo, boxes), FaceAligner(model)(photo, boxes)
    torch.testing.assert_close(found.pos, expected.pos, rtol=0, atol=1e-2)
