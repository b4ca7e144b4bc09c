"""The cells of compare_gcn_gat.py: what each changes in the cascade, and that alone."""

import pytest
import torch
from ablation.cascades import HEADS, Visibility, make_cascade, make_edges
from ablation.cells import CELLS, OPERATORS, QUICK_CELLS, Cell, cell_by_name
from torch import nn

from pyspiga_geo import get_layout
from pyspiga_geo.models import make_config
from pyspiga_geo.nn import make_conv

LAYOUT = get_layout("ibug68")
CONFIG = make_config("compact", channels=8)


def cascade_of(cell: Cell, channels: int = 64) -> nn.Module:
    # with few channels all ReLUs may be dead at the start
    return make_cascade(cell, LAYOUT, CONFIG, channels, num_layers=1)


def learning(cascade: nn.Module) -> dict[str, nn.Parameter]:
    """Its parameters but the skip that TransformerConv makes and, without root weight, never uses."""
    return {name: value for name, value in cascade.named_parameters() if ".lin_skip." not in name}


def refined(cascade: nn.Module, pos: torch.Tensor, feature_map: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return cascade.eval()(pos, feature_map).pos


def tell_visibility(cascade: nn.Module, visible: torch.Tensor) -> None:
    for module in cascade.modules():
        if isinstance(module, Visibility):
            module.visible = visible


def test_names_tell_cells_apart_and_find_them():
    names = [cell.name for cell in CELLS]
    assert len(set(names)) == len(names)
    assert {"attention", "none: 1 step", "attention: 1 step, 1 in 4 looks", "gcn: nearest graph"} <= set(
        names
    )
    assert all(cell in CELLS for cell in QUICK_CELLS)
    assert cell_by_name("none: no positions") == Cell("none", position="unknown")
    with pytest.raises(ValueError, match=r"unknown cell 'gnc'; known: attention; none; gcn"):
        cell_by_name("gnc")


def test_operators_have_the_same_number_of_parameters_within_ten_percent():
    config = make_config("compact")
    counts = [
        sum(value.numel() for value in learning(make_cascade(cell, LAYOUT, config, 64, 2)).values())
        for cell in OPERATORS
    ]
    assert max(counts) < 1.1 * min(counts)


def test_attention_and_transformer_are_one_function_in_these_cells():
    dense, by_edges = (
        make_conv(conv, 64, 64, heads=HEADS, scale=True).double() for conv in ("attention", "transformer")
    )
    maps = [
        (getattr(dense, name), getattr(by_edges.conv, name)) for name in ("lin_query", "lin_key", "lin_value")
    ]
    for ours, theirs in maps:
        theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 68, 64, dtype=torch.double)
    towards = torch.randn_like(x)
    messages, gradients = [], []
    for conv, weights in zip((dense, by_edges), zip(*maps, strict=True), strict=True):
        nodes = x.clone().requires_grad_()
        messages.append(conv(nodes))
        learning = [nodes, *(value for lin in weights for value in (lin.weight, lin.bias))]
        gradients.append(torch.autograd.grad((messages[-1] * towards).sum(), learning))
    assert torch.allclose(*messages, rtol=0, atol=1e-12)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_cell_learns_with_all_of_its_parameters(cell: Cell):
    cascade = cascade_of(cell, channels=8)
    heatmaps = torch.randn(2, 68, 8, 8) if cell.heatmaps else None
    tell_visibility(cascade, torch.arange(136).view(2, 68) % 2)
    out = cascade(torch.rand(2, 68, 2), torch.rand(2, 8, 8, 8), make_edges(cell, LAYOUT), heatmaps=heatmaps)
    assert len(out.steps) == cell.steps
    out.pos.sum().backward()
    assert {name for name, value in cascade.named_parameters() if value.grad is not None} == set(
        learning(cascade)
    )


def test_windows_shrink_or_stay():
    assert [step.window for step in cascade_of(Cell()).steps] == [0.5, 0.25, 0.125]
    assert [step.window for step in cascade_of(Cell(windows="constant")).steps] == [0.25, 0.25, 0.25]


def test_shared_steps_have_one_set_of_linear_maps_and_norms_of_their_own():
    first, second, third = cascade_of(Cell(shared=True, heatmaps=True)).steps
    linear = [name for name, _ in first.named_parameters() if ".norms." not in name]
    assert "blocks.0.conv.lin_query.weight" in linear
    for other in (second, third):
        theirs = dict(other.named_parameters())
        for name, value in first.named_parameters():
            assert (theirs[name] is value) == (name in linear), name
    assert first.window == 2 * second.window


def test_only_messages_tell_what_landmarks_see_that_do_not_look():
    pos, before, after = torch.rand(1, 68, 2), torch.rand(1, 8, 8, 8), torch.rand(1, 8, 8, 8)
    blind = torch.arange(68) % 4 != 0
    for conv, heard in (("none", False), ("attention", True)):
        cascade = cascade_of(Cell(conv, steps=1, looking=4))
        moved = (refined(cascade, pos, after) - refined(cascade, pos, before)).abs().amax(dim=2)[0] > 0
        assert moved[~blind].all()
        assert moved[blind].all() if heard else not moved[blind].any()


def test_what_a_landmark_is_told_about_positions():
    pos, feature_map = torch.rand(1, 68, 2), torch.rand(1, 8, 8, 8)
    others = pos.clone()
    others[:, 1:] += 0.1 * torch.rand(1, 67, 2)
    both = pos + 0.1
    even = torch.ones(1, 8, 8, 8)  # the picture looks the same everywhere
    for position, of_others, of_itself in (
        ("relative", True, False),
        ("bottleneck", True, False),
        ("absolute", False, True),
        ("both", True, True),
        ("unknown", False, False),
    ):
        cascade = cascade_of(Cell("none", steps=1, position=position))

        def moved(
            start: torch.Tensor, cascade: nn.Module = cascade, maps: torch.Tensor = even
        ) -> torch.Tensor:
            return (refined(cascade, start, maps) - start)[0, 0]

        assert (not torch.allclose(moved(pos), moved(others), atol=1e-6)) == of_others, position
        assert (not torch.allclose(moved(pos), moved(both), atol=1e-6)) == of_itself, position
        assert not torch.allclose(moved(pos), moved(both, maps=feature_map), atol=1e-6)
    names = cascade_of(Cell("none", position="unknown")).steps[0].relative.names
    assert len(names.unique(dim=0)) == 68


def test_a_landmark_is_told_its_visibility_and_tells_the_others_in_messages_only():
    pos, feature_map = torch.rand(1, 68, 2), torch.rand(1, 8, 8, 8)
    hidden = torch.ones(1, 68)
    hidden[0, 3] = 0
    for conv, others in (("none", False), ("attention", True)):
        cascade = cascade_of(Cell(conv, steps=1, visibility=True))
        tell_visibility(cascade, torch.ones(1, 68))
        before = refined(cascade, pos, feature_map)
        tell_visibility(cascade, hidden)
        moved = (refined(cascade, pos, feature_map) - before)[0].abs().amax(dim=1) > 0
        assert moved[3]
        assert moved[[0, 1, 2, *range(4, 68)]].any() == others


def test_graphs():
    assert make_edges(Cell(), LAYOUT) is None
    source, target = make_edges(Cell(graph="nearest"), LAYOUT)
    assert torch.equal(target.bincount(), torch.full((68,), 6))
    assert (source != target).all()
    assert {36, 38} <= set(source[target == 37].tolist())  # neighbours on the eyelid
    contour = make_edges(Cell(graph="contour"), LAYOUT)
    assert [0, 1] in contour.T.tolist()
    assert [0, 2] not in contour.T.tolist()
