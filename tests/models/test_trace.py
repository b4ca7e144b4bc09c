"""A traced model is the model: the same outputs, for any number of faces, and the same errors."""

import copy
import threading

import pytest
import torch
from torch import nn

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.models import trace
from pyspiga_geo.models.trace import can_be_traced

SMALL = {"num_steps": 2, "num_layers": 1, "node_channels": 16, "hidden_channels": 16, "uncertainty": True}
KINDS = {
    "hourglass": {"image_size": 64, "num_stacks": 1, "depth": 2, "channels": 16},
    "encoder_decoder": {"image_size": 192, "backbone": "encoder_decoder", "backbone_options": {"channels": [16, 8]}},
}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(trace, "CALLS", 2)


def model_of(kind: str, **options) -> SPIGA:
    return SPIGA.from_preset("compact", **(SMALL | KINDS[kind] | options)).eval()


def same(found, expected) -> None:
    for name, value in expected._asdict().items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(getattr(found, name), value, rtol=1e-12, atol=1e-12, msg=name)
    assert len(found.steps) == len(expected.steps)
    assert torch.equal(found.steps[-1], found.landmarks)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("encoder_decoder", {}),  # maps whose sides are no powers of two
        ("hourglass", {"pre_norm": True, "position": "learned"}),
        ("hourglass", {"heatmap_windows": False}),
    ],
)
def test_the_recording_returns_the_same_for_any_number_of_faces(kind, options):
    model = model_of(kind, **options).double()
    plain, traced = model.optimize(dtype=torch.float64), model.optimize(dtype=torch.float64, trace=True)
    size = model.config.image_size
    with torch.no_grad():
        for count in (2, 2, 1, 3, 0):
            images = torch.rand(count, 3, size, size, dtype=torch.float64)
            same(traced(images), plain(images))
        assert traced.forward.recorded is not None
        for copied in (copy.deepcopy(traced), traced):
            same(copied(images := torch.rand(1, 3, size, size, dtype=torch.float64)), plain(images))


def test_what_is_not_recorded_runs_as_before():
    model = model_of("hourglass")
    traced = model.optimize(trace=True)
    images = torch.rand(2, 3, 64, 64)
    for _ in range(3):
        traced(images)
    assert len(traced(images, return_attention=True).attention) == 2
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(traced(images).landmarks, model.optimize()(images).landmarks)
    edges = torch.tensor([[0, 1], [1, 0]])
    assert torch.equal(traced(images, edges).landmarks, model.optimize()(images, edges).landmarks)
    (gradient,) = torch.autograd.grad(traced(images.requires_grad_()).landmarks.sum(), images)
    assert gradient.abs().sum() > 0
    for wrong in (torch.rand(2, 3, 32, 32), torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.rand(3, 64, 64)):
        with pytest.raises(ValueError, match=r"images must be float \[B, 3, 64, 64\]"):
            traced(wrong)


def test_only_models_of_known_modules_are_traced_by_themselves(tmp_path):
    class Branching(nn.Identity):
        """A module that may decide by what it sees."""

    model = model_of("hourglass")
    model.save(tmp_path / "model.safetensors")
    assert can_be_traced(model)
    assert FaceAligner(tmp_path / "model.safetensors").model.forward.calls == 0
    model.cascade.steps[0].blocks[0].add_module("own", Branching())
    assert not can_be_traced(model)
    assert not can_be_traced(model_of("hourglass", conv="gcn"))


def test_threads_share_one_recording():
    model = model_of("hourglass")
    plain, traced = model.optimize(), model.optimize(trace=True)
    images = torch.rand(8, 1, 3, 64, 64)
    expected = [plain(each).landmarks for each in images]
    right = []

    def work(number: int) -> None:
        right.extend(torch.equal(traced(images[number]).landmarks, expected[number]) for _ in range(4))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 32
