"""Time and memory of a pass."""

import pytest
import torch
from measuring import measure_time, peak_memory, reset_peak


def test_peak_memory_sees_what_is_freed_again() -> None:
    megabyte = 2**20
    found = peak_memory(lambda: [torch.ones(n * megabyte // 4).sum() for n in (64, 8)], "cpu")
    if not reset_peak():
        pytest.skip("the peak of memory cannot be reset here")
    assert 60 * megabyte < found < 90 * megabyte


def test_three_passes_at_least() -> None:
    calls: list[int] = []
    found = measure_time(lambda: calls.append(1), seconds=0)
    assert found["passes"] == 3
    assert len(calls) == 4  # the first tells how many
    assert 0 < found["seconds"] < 1
