import itertools
import threading

import pytest
import torch

from pyspiga_geo.tracking.ahead import ahead
from pyspiga_geo.tracking.matching import assign, box_distance, box_overlap


def test_assignment_is_the_cheapest_of_all():
    cost = torch.rand(4, 4, dtype=torch.float64)
    best = min(itertools.permutations(range(4)), key=lambda p: sum(cost[i, j] for i, j in enumerate(p)))
    assert assign(cost, limit=2.0) == list(enumerate(best))


def test_a_pair_beyond_the_limit_is_none_and_takes_nobody_away():
    assert assign(torch.tensor([[0.5, 0.9], [5.0, 0.1]]), limit=1.0) == [(0, 0), (1, 1)]
    assert assign(torch.tensor([[5.0]]), limit=1.0) == []
    assert assign(torch.zeros(0, 3), limit=1.0) == assign(torch.zeros(2, 0), limit=1.0) == []
    # Two allowed pairs are preferred to a single cheaper one.
    assert assign(torch.tensor([[0.0, 0.9], [0.9, 5.0]]), limit=1.0) == [(0, 1), (1, 0)]


def test_overlap_and_distance_do_not_change_with_scale():
    boxes = torch.rand(3, 4, dtype=torch.float64) + 0.5
    others = torch.rand(2, 4, dtype=torch.float64) + 0.5
    for measure in (box_overlap, box_distance):
        assert measure(boxes, others).shape == (3, 2)
        assert torch.allclose(measure(boxes, others), measure(10 * boxes, 10 * others))
        assert torch.allclose(measure(boxes, others), measure(others, boxes).T)
    assert box_overlap(boxes, boxes).diagonal().tolist() == pytest.approx([1, 1, 1])


def test_items_are_taken_ahead_but_not_far():
    taken = []

    def source():
        for number in range(100):
            taken.append(number)
            yield number

    items = ahead(source(), size=3)
    assert [next(items) for _ in range(2)] == [0, 1]
    items.close()
    assert len(taken) <= 2 + 3 + 2
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_what_the_source_raises_comes_at_its_place(error):
    def source():
        yield 1
        raise error

    items = ahead(source())
    assert next(items) == 1
    with pytest.raises(type(error)):
        next(items)
