"""What ``load_reference_state_dict`` refuses, and what it leaves alone."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from pyspiga_geo.models import SPIGA, reference_model
from pyspiga_geo.models.reference import export, translate

State = dict[str, Tensor]

TRAINING_ONLY = (
    "backbone.stacks.0.pose.",
    "backbone.stacks.1.landmarks.",
)  # the authors ship no weights for these


@pytest.fixture
def state(small_state: Callable[[str], State]) -> State:
    return small_state("ibug68")


@pytest.fixture
def model(small_model: Callable[..., SPIGA]) -> SPIGA:
    return small_model("ibug68")


def snapshot(model: SPIGA) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


def refused(model: SPIGA, state: State) -> str:
    """The error's message; nothing of the state may have been loaded."""
    before = snapshot(model)
    with pytest.raises(ValueError, match="not the state dict of the reference network") as error:
        model.load_reference_state_dict(state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(error.value)


def test_everything_is_loaded_but_what_the_authors_lack(model: SPIGA, state: State) -> None:
    before = snapshot(model)
    model.load_reference_state_dict(state)
    for name, value in model.state_dict().items():
        kept = name in ("shape3d", "camera") or name.startswith(TRAINING_ONLY) or "num_batches_tracked" in name
        assert torch.equal(value, before[name]) == kept, name


def test_constant_entries_make_no_difference(
    model: SPIGA, state: State, small_model: Callable[..., SPIGA], entries: ModuleType
) -> None:
    other = small_model("ibug68")
    other.load_state_dict(model.state_dict())
    model.load_reference_state_dict(state)
    constants = [name for name in state if entries.is_constant(name)]
    assert len(constants) > 100
    other.load_reference_state_dict({name: state[name] for name in state if name not in constants})
    found, expected = other.state_dict(), model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_every_problem_is_listed_at_once(model: SPIGA, state: State) -> None:
    unknown = ["visual_cnn.pre.9.bn.weight", "gcn.3.decoder.decoder.0.weight", "optimizer"]
    missing = ["pose_fc.bias", "visual_cnn.hgs.1.low2.low2.up2.deconv.weight", "conv_window.2.bias"]
    misshapen = [
        "gcn.0.gat.1.attention.attn.proj.2.weight",
        "visual_cnn.pre.1.conv.weight",
        "conv_window.0.weight",
    ]
    unused_but_wrong, unused_but_missing = (f"visual_cnn.hgs.{m}.up1.skip_layer.conv.weight" for m in (0, 1))
    state.update({name: torch.zeros(3) for name in unknown})
    for name in (*missing, unused_but_missing):
        del state[name]
    for name in (*misshapen, unused_but_wrong):
        state[name] = state[name][1:]
    message = refused(model, state)
    assert all(f"unknown {name}" in message for name in unknown)
    assert all(f"missing {name}" in message for name in (*missing, unused_but_missing))
    assert all(f"misshapen {name} " in message for name in (*misshapen, unused_but_wrong))
    assert "11 entries" in message
    assert str(list(state["conv_window.0.weight"].shape)) in message


def test_a_head_for_uncertainty_makes_no_difference(
    model: SPIGA, small_model: Callable[..., SPIGA], state: State
) -> None:
    sure = small_model(uncertainty=True)
    before = {name: value.clone() for name, value in sure.uncertainty.state_dict().items()}
    sure.load_reference_state_dict(state)
    model.load_reference_state_dict(state)
    loaded, exported = sure.state_dict(), export(sure)
    assert all(torch.equal(loaded[f"uncertainty.{name}"], value) for name, value in before.items())
    assert exported.keys() == export(model).keys()
    assert all(torch.equal(exported[name], value) for name, value in export(model).items())


@pytest.mark.parametrize(
    "name",
    [
        "gcn.0.gat.0.reshape.0.weight",  # out x in x 1
        "conv_window.1.weight",  # out x in x 7 x 7
        "visual_cnn.hgs_out.0.1.conv.weight",  # out x in x 1 x 1
        "pose_fc.weight",  # out x in
    ],
)
def test_as_many_numbers_in_another_shape_are_misshapen(name: str, model: SPIGA, state: State) -> None:
    value = state[name]
    state[name] = value.movedim(1, -1).contiguous() if value.dim() > 2 else value.unsqueeze(-1)
    assert state[name].shape != value.shape
    assert f"misshapen {name} " in refused(model, state)


@pytest.mark.parametrize(
    "name", ["head.bn.num_batches_tracked", "theta_S", "diagonal_mask.weight", "module.pose_fc.bias"]
)
def test_entries_that_look_constant_are_unknown(name: str, model: SPIGA, state: State) -> None:
    state[name] = torch.zeros(())
    assert f"unknown {name}" in refused(model, state)


def test_an_empty_state_dict_lacks_everything(model: SPIGA) -> None:
    assert "missing visual_cnn.pre.1.conv.weight" in refused(model, {})


def test_weights_of_another_layout(model: SPIGA, small_state: Callable[[str], State]) -> None:
    message = refused(model, small_state("wflw98"))
    assert "misshapen shape_encoder.0.encoder.0.weight [256, 194, 1]" in message
    assert "misshapen visual_cnn.outs_points.0.0.conv.weight [98, 32, 1, 1]" in message


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_other_presets_do_not_take_them(preset: str, small_model: Callable[..., SPIGA], state: State) -> None:
    assert "unknown gcn.0.gat.0.attention.attn.merge.weight" in refused(small_model("ibug68", preset), state)


def test_the_real_compact_preset_does_not_take_them(state: State) -> None:
    refused(SPIGA.from_preset("compact"), state)


def test_another_depth_or_number_of_stacks(small_model: Callable[..., SPIGA], state: State) -> None:
    assert "missing visual_cnn.hgs.2.up1.bn1.weight" in refused(small_model("ibug68", num_stacks=3), state)
    assert "unknown visual_cnn.hgs.0.low2.low2.up1.bn1.weight" in refused(small_model("ibug68", depth=2), state)
    assert "unknown gcn.2.gat.0.reshape.0.bias" in refused(small_model("ibug68", num_steps=2), state)


def test_weights_come_in_the_precision_of_the_model(small_state: Callable[[str], State], entries: ModuleType) -> None:
    model = SPIGA.from_preset("reference", **entries.SMALL)
    model.load_reference_state_dict(small_state("ibug68"))
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32, torch.int64}


def test_export_is_the_inverse_of_loading(model: SPIGA, state: State, entries: ModuleType) -> None:
    model.load_reference_state_dict(state)
    exported = export(model)
    unused = {name for name in exported if not exported[name].any() and state[name].any()}
    assert exported.keys() == {name for name in state if not entries.is_constant(name)} | {
        name for name in state if name.endswith("num_batches_tracked")
    }
    assert unused
    assert all(".skip_layer.conv.weight" in name for name in unused)
    for name in exported.keys() - unused:
        assert exported[name].shape == state[name].shape
        assert torch.equal(exported[name], state[name]), name
    own = snapshot(model)
    assert all(torch.equal(value, own[name]) for name, value in translate(model, exported).items())


def test_the_exported_weights_do_the_same_in_the_authors_network(
    small_model: Callable[..., SPIGA], reference: ModuleType
) -> None:
    model = small_model("wflw98")
    images = torch.rand(1, 3, 128, 128)
    layout = model.layout
    with torch.no_grad():
        ours = model(images)
        theirs = reference.reference_forward(export(model), images.flip(1), layout.shape3d, layout.boundary_matrix)
    assert torch.allclose(ours.landmarks, theirs["landmarks"][-1], atol=1e-8)


def test_exported_tensors_are_new(model: SPIGA) -> None:
    before = snapshot(model)
    for value in export(model).values():
        value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("preset", "overrides", "differs"),
    [
        ("paper", {}, "channel_order, heads, bound, include_self, scale, out_proj"),
        ("compact", {}, "heatmap_windows"),
        ("reference", {"conv": "gcn"}, "conv"),
        ("reference", {"bound": "arctan"}, "bound"),
    ],
)
def test_other_builds_are_not_exported(
    preset: str, overrides: dict[str, str], differs: str, small_model: Callable[..., SPIGA]
) -> None:
    with pytest.raises(ValueError, match=rf"not a model of preset 'reference': it differs in .*{differs}"):
        export(small_model("ibug68", preset, **overrides))


@pytest.mark.parametrize(
    "odd",
    [
        torch.zeros(68, 32, 1, 1).to_sparse(),
        torch.zeros(68, 32, 1, 1, device="meta"),
        torch.zeros(68, 32, 1, 1, dtype=torch.complex64),
        torch.quantize_per_tensor(torch.zeros(68, 32, 1, 1), 0.1, 0, torch.qint8),
        torch.zeros(()),
    ],
    ids=["sparse", "meta", "complex", "quantized", "number"],
)
def test_tensors_of_another_kind(odd: Tensor, state: State, tmp_path: Path) -> None:
    path, name = tmp_path / "authors.pt", "visual_cnn.outs_points.0.0.conv.weight"
    torch.save(state | {name: odd}, path)
    with pytest.raises(ValueError, match=rf"authors\.pt: ({name} is no dense tensor|not the state dict)"):
        reference_model(path)
