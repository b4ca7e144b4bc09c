"""Landmarks that do not exist: nothing of them reaches the others."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import CONVS, POSITIONS, SPIGACascade

B, L, C, X = 3, 5, 3, 4
SIZES = [3, 5, 2]
STATES = [("eval", "batch_norm"), ("train", "batch_norm"), ("train", "layer_norm")]


def cascade(num_landmarks: int | None = L, channels: Any = C, **options: Any) -> SPIGACascade:
    small = {
        "num_steps": 2,
        "num_layers": 2,
        "heads": 2,
        "node_channels": 8,
        "hidden_channels": 32,  # narrower, and the ReLUs of the decoder may all be shut
        "samples": 2,
    }
    model = SPIGACascade(num_landmarks, channels, **(small | options)).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):  # as if trained
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64)


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("state", "norm"), STATES)
@pytest.mark.parametrize("position", ["pooled", "none"])
def test_masks_equal_graphs_of_different_sizes(state: str, norm: str, position: str) -> None:
    # The same nodes either way, so that also the statistics of batch norm are equal.
    model, maps = (
        cascade(None, position=position, norm=norm, in_channels=X),
        rand(3, C, 9, 8).requires_grad_(),
    )
    model.train(state == "train")
    sizes = torch.tensor(SIZES)
    mask = torch.arange(L) < sizes[:, None]
    pos, x = rand(3, L, 2), rand(3, L, X)
    pos[~mask], x[~mask] = torch.nan, torch.nan
    before = {name: value.clone() for name, value in model.state_dict().items()}
    outs, grads, states = [], [], []
    listed = torch.cat([complete_edges(size) + sum(SIZES[:item]) for item, size in enumerate(SIZES)], dim=1)
    for arguments in (
        {"pos": pos, "x": x, "mask": mask},
        {"pos": pos.flatten(0, 1), "x": x.flatten(0, 1), "mask": mask.flatten()},
        {"pos": pos[mask], "x": x[mask], "batch": torch.arange(3).repeat_interleave(sizes)},
        {
            "pos": pos[mask],
            "x": x[mask],
            "batch": torch.arange(3).repeat_interleave(sizes),
            "edge_index": listed,
        },
    ):
        model.load_state_dict(before)
        out = model(arguments.pop("pos"), maps, **arguments)
        present = out.pos[out.pos.isfinite().all(dim=-1)]
        grads.append(torch.autograd.grad(present.square().sum(), [maps, *model.parameters()]))
        outs.append((present, out.x[out.x.abs().sum(dim=-1) > 0]))
        states.append(dict(model.state_dict()))
    for out, grad, after in zip(outs[1:], grads[1:], states[1:], strict=True):
        close(out, outs[0])
        close(grad, grads[0])
        close({k: v.double() for k, v in after.items()}, {k: v.double() for k, v in states[0].items()})


@pytest.mark.parametrize(
    ("conv", "position", "state", "norm"),
    [
        *(("attention", position, *each) for position in POSITIONS for each in [*STATES, ("train", "none")]),
        *((conv, "ordered", "train", "batch_norm") for conv in CONVS[1:]),
    ],
)
def test_nothing_of_an_absent_landmark_reaches_the_others(conv: str, position: str, state: str, norm: str) -> None:
    options = {"conv": conv, "position": position, "norm": norm, "in_channels": X, "heatmap_windows": True}
    model = cascade(**options, num_steps=1).train(state == "train")
    mask = torch.tensor([[1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 0, 0]], dtype=torch.bool)
    given = {"pos": rand(B, L, 2), "x": rand(B, L, X), "heatmaps": rand(B, L, 6, 6)}
    changed = {name: value.clone() for name, value in given.items()}
    for value in changed.values():
        value[~mask] = torch.nan
    maps, before = rand(B, C, 6, 6), {name: value.clone() for name, value in model.state_dict().items()}
    results = []
    for arguments in (given, changed):
        model.load_state_dict(before)
        out = model(feature_map=maps, mask=mask, **arguments)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        grads = torch.autograd.grad(out.pos[mask].square().sum(), trained, allow_unused=True)
        assert all(grad is None or grad.isfinite().all() for grad in grads)
        assert (out.x[~mask] == 0).all()
        results.append((out.pos[mask], out.x, [grad for grad in grads if grad is not None]))
    close(*results)
    assert out.pos[~mask].isnan().all()  # they stay where they were


def test_absent_landmarks_are_not_in_the_graph() -> None:
    model, pos, maps = cascade(None, position="pooled"), rand(1, L, 2), rand(1, C, 9, 8)
    mask = torch.tensor([[1, 0, 1, 1, 0]], dtype=torch.bool)
    out = model(pos, maps, mask=mask, return_attention=True)
    alone = model(pos[mask][None], maps, return_attention=True)
    close(out.pos[mask], alone.pos[0])
    assert torch.equal(out.pos[~mask], pos[~mask])
    for one, other in zip(out.attention, alone.attention, strict=True):
        close(one[..., mask[0], :][..., mask[0]], other)


# Nothing.


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("conv", ["attention", "gat", "none"])
def test_batches_of_no_items(conv: str, position: str) -> None:
    model = cascade(conv=conv, position=position, heatmap_windows=True)
    out = model(rand(0, L, 2), rand(0, C, 9, 8), heatmaps=rand(0, L, 9, 8))
    assert (out.pos.shape, out.x.shape) == ((0, L, 2), (0, L, 32))


@pytest.mark.parametrize("position", ["pooled", "none"])
def test_items_without_landmarks(position: str) -> None:
    model, pos, maps = cascade(None, position=position), rand(5, 2), rand(3, C, 9, 8)
    out = model(pos, maps, batch=torch.tensor([0, 0, 0, 2, 2])).pos
    close(out, torch.cat([model(pos[:3][None], maps[:1]).pos[0], model(pos[3:][None], maps[2:]).pos[0]]))
    assert model(pos[:0], maps, batch=torch.zeros(0, dtype=torch.long)).pos.shape == (0, 2)
    assert model(rand(3, 0, 2), maps).pos.shape == (3, 0, 2)
    mask = torch.tensor([[1] * 5, [0] * 5, [1] * 5], dtype=torch.bool)
    masked, start = model(rand(3, 5, 2), maps, mask=mask, return_attention=True), rand(3, 5, 2)
    assert masked.pos.isfinite().all()
    assert (masked.attention[0][1] == 0).all()
    assert torch.equal(model(start, maps, mask=mask).pos[1], start[1])
