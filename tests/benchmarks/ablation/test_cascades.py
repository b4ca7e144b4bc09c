"""What each cell changes in the cascade, and that alone."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from ablation.cascades import HEADS, CellCascade, make_edges
from ablation.cells import CELLS, GRID, OPERATORS, Cell
from ablation.features import Seen
from torch import Tensor

from pyspiga_geo import get_layout
from pyspiga_geo.models import make_config
from pyspiga_geo.nn import make_conv

LAYOUT = get_layout("ibug68")
CONFIG = make_config("compact", channels=8)


def cascade_of(cell: Cell) -> CellCascade:
    # with fewer channels all ReLUs may be dead at the start
    return CellCascade(cell, LAYOUT, CONFIG, [8, 8], 64, num_layers=1)


def refined(cascade: CellCascade, pos: Tensor, feature_map: Tensor, **options: Any) -> Tensor:
    with torch.no_grad():
        return cascade.eval()(pos, feature_map, **options).pos


def published() -> dict[str, int]:
    """The parameters of each cell in the documentation's table."""
    table = Path(__file__).resolve().parents[3] / "docs" / "ablation" / "table.csv"
    with table.open(encoding="utf-8") as file:
        return {row["cell"]: int(row["parameters"]) for row in csv.DictReader(file)}


def test_operators_have_the_same_number_of_parameters_within_ten_percent():
    counts = [published()[cell.name] for cell in OPERATORS]
    assert max(counts) < 1.1 * min(counts)


def test_attention_and_transformer_are_one_function_in_these_cells():
    dense, by_edges = (
        make_conv(conv, heads=HEADS, scale=True)(64, 64).double() for conv in ("attention", "transformer")
    )
    maps = [(getattr(dense, name), getattr(by_edges.conv, name)) for name in ("lin_query", "lin_key", "lin_value")]
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
def test_every_cell_learns_with_as_many_parameters_as_in_the_published_table(cell: Cell):
    config = make_config("compact")
    cascade = CellCascade(cell, LAYOUT, config, [config.channels, config.channels], 64, num_layers=2)
    pos = torch.rand(2, 68, 2)
    known, visible = torch.ones(2, 68, dtype=torch.bool), torch.arange(136.0).view(2, 68) % 2
    maps = (torch.rand(2, config.channels, 8, 8), torch.randn(2, 68, 8, 8), torch.rand(2, config.channels, 4, 4))
    seen = Seen(*maps, pos, pos, known, visible)
    steps = cascade.refine(seen).steps
    assert len(steps) == cell.steps
    torch.stack(steps).sum().backward()
    learning = [value for value in cascade.parameters() if value.requires_grad]
    assert all((value.grad is not None) == value.requires_grad for value in cascade.parameters())
    assert sum(value.numel() for value in learning) == published()[cell.name]


def test_windows_shrink_or_stay():
    assert cascade_of(Cell()).windows == [0.5, 0.25, 0.125]
    assert cascade_of(Cell(windows="constant")).windows == [0.25, 0.25, 0.25]


def test_shared_steps_have_one_set_of_linear_maps_and_norms_of_their_own():
    cascade = cascade_of(Cell(shared=True, heatmaps=True))
    first, second, third = cascade.steps
    linear = [name for name, _ in first.named_parameters() if ".norms." not in name]
    assert "blocks.0.conv.lin_query.weight" in linear
    for other in (second, third):
        theirs = dict(other.named_parameters())
        for name, value in first.named_parameters():
            assert (theirs[name] is value) == (name in linear), name
        norms = dict(other.named_buffers())
        assert all(norms[name] is not value for name, value in first.named_buffers())
    assert cascade.windows == [0.5, 0.25, 0.125]


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

        def moved(start: Tensor, cascade: CellCascade = cascade, maps: Tensor = even) -> Tensor:
            return (refined(cascade, start, maps) - start)[0, 0]

        assert (not torch.allclose(moved(pos), moved(others), atol=1e-6)) == of_others, position
        assert (not torch.allclose(moved(pos), moved(both), atol=1e-6)) == of_itself, position
        assert not torch.allclose(moved(pos), moved(both, maps=feature_map), atol=1e-6)


def test_without_positions_a_landmark_knows_which_one_it_is():
    names = cascade_of(Cell("none", position="unknown")).steps[0].relative.vectors
    assert len(names.unique(dim=0)) == 68
    assert names.std().item() == pytest.approx(1, abs=0.05)


def test_a_landmark_is_told_its_visibility_and_tells_the_others_in_messages_only():
    pos, feature_map = torch.rand(1, 68, 2), torch.rand(1, 8, 8, 8)
    visible, hidden = torch.ones(1, 68, 1), torch.ones(1, 68, 1)
    hidden[0, 3] = 0
    for conv, others in (("none", False), ("attention", True)):
        cascade = cascade_of(Cell(conv, steps=1, visibility=True))
        before, after = (refined(cascade, pos, feature_map, x=x) for x in (visible, hidden))
        moved = (after - before)[0].abs().amax(dim=1) > 0
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


@pytest.mark.parametrize("cell", GRID[::4], ids=lambda cell: cell.name)
def test_only_the_first_step_looks_at_the_coarse_map(cell: Cell):
    config = make_config("compact", pre_norm=True)
    cascade = CellCascade(cell, LAYOUT, config, [8, 4], 64, num_layers=2).eval()
    pos, known = torch.rand(2, 68, 2), torch.ones(2, 68, dtype=torch.bool)
    seen = Seen(
        torch.rand(2, 4, 8, 8), torch.randn(2, 68, 8, 8), torch.rand(2, 8, 4, 4), pos, pos, known, known.float()
    )
    other = seen._replace(coarse_map=torch.rand(2, 8, 4, 4))
    plain, changed = (cascade.refine(each).steps[0] for each in (seen, other))
    assert torch.equal(plain, changed) == (cell.maps == "fine")
    step = cascade.steps[0].blocks[0]
    assert isinstance(step.pre_norm, torch.nn.LayerNorm)
