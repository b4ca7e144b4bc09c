"""What parts of a model reach of the machine's rate."""

import time

import pytest
import torch
from limits import flops_by_part, measure, parse, parts_of, seconds_by_part, table


def test_operations_are_counted_where_they_are_done(tiny_model) -> None:
    images = torch.rand(2, 3, 64, 64)
    found = flops_by_part(tiny_model, parts_of(tiny_model), images)
    whole = found.pop("all")
    assert 0.95 * whole < sum(found.values()) <= whole  # what merges the stacks is of no part
    first = tiny_model.backbone.stem[0].conv.weight
    assert found["stem"] > 2 * first.numel() * 2 * 32 * 32


def test_times_of_parts_add_up(tiny_model) -> None:
    images = torch.rand(1, 3, 64, 64)
    start = time.perf_counter()
    with torch.inference_mode():
        parts = seconds_by_part(lambda: tiny_model(images), parts_of(tiny_model), 2, time.perf_counter)
    assert 0 < sum(parts.values()) < time.perf_counter() - start
    assert not any(module._forward_hooks for module in tiny_model.modules())


def test_the_table(tiny_model) -> None:
    options = parse(["--rounds", "1", "--bfloat16"])
    cell = measure(tiny_model, 1, torch.get_num_threads(), options)
    told = table(cell).splitlines()
    assert told[0].startswith("B = 1, ")
    assert [line.split()[0] for line in told[2:5]] == ["plain", "optimized", "traced"]
    assert [line.split()[:2] for line in told[5:7]] == [["optimized", "bfloat16"], ["traced", "bfloat16"]]
    losses = [float(line.split()[-1]) for line in told[8:]]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("cell", ["1", "0x1", "1x1x1", "ax1"])
def test_bad_cells(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--cells", cell])
    assert "--cells" in capsys.readouterr().err
