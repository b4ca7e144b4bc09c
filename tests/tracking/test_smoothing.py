import math
import random

import pytest
import torch

from pyspiga_geo.tracking import OneEuroFilter


class Scalar:
    """The filter of one number as its authors write it: appendix A of the paper."""

    def __init__(self, min_cutoff, beta):
        self.min_cutoff, self.beta, self.time = min_cutoff, beta, None

    @staticmethod
    def alpha(cutoff, rate):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate)

    def __call__(self, x, time):
        if self.time is None:
            self.time, self.x, self.x_hat, self.dx_hat = time, x, x, 0.0
            return x
        rate = 1 / (time - self.time)
        dx = (x - self.x) * rate
        a = self.alpha(1.0, rate)
        self.dx_hat = a * dx + (1 - a) * self.dx_hat
        a = self.alpha(self.min_cutoff + self.beta * abs(self.dx_hat), rate)
        self.x_hat = a * x + (1 - a) * self.x_hat
        self.time, self.x = time, x
        return self.x_hat


@pytest.mark.parametrize(("min_cutoff", "beta"), [(1.0, 0.0), (0.5, 3.0), (2.0, 0.1)])
@pytest.mark.parametrize("size", [1.0, 80.0])
def test_every_coordinate_is_filtered_as_in_the_paper(min_cutoff, beta, size):
    clock = random.Random(0)
    time, smooth = 0.0, OneEuroFilter(min_cutoff, beta)
    scalars = [Scalar(min_cutoff, beta) for _ in range(10)]
    pos = torch.zeros(5, 2, dtype=torch.float64)
    for _ in range(50):
        time += clock.uniform(0.01, 0.1)  # time stamps need not be regular
        pos = pos + torch.randn(5, 2, dtype=torch.float64)
        found = smooth(pos * size, time, size)
        expected = [scalar(x, time) for scalar, x in zip(scalars, pos.flatten().tolist(), strict=True)]
        assert torch.allclose(found.flatten() / size, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_a_face_at_rest_stays_and_the_type_is_kept():
    smooth, pos = OneEuroFilter(), torch.rand(68, 2)
    for time in range(5):
        assert torch.allclose(smooth(pos, time / 25), pos)
    assert smooth(pos, 1.0).dtype == torch.float32


def test_after_a_reset_the_next_position_is_taken_as_it_is():
    smooth = OneEuroFilter()
    smooth(torch.zeros(3, 2), 0.0)
    smooth.reset()
    assert torch.equal(smooth(torch.ones(3, 2), 0.0), torch.ones(3, 2))


@pytest.mark.parametrize(("name", "value"), [("min_cutoff", 0.0), ("min_cutoff", math.nan), ("beta", -1.0)])
def test_impossible_settings_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        OneEuroFilter(**{name: value})


def test_impossible_moments_are_refused():
    smooth = OneEuroFilter()
    smooth(torch.zeros(1, 2), 1.0)
    with pytest.raises(ValueError, match="later than 1"):
        smooth(torch.zeros(1, 2), 1.0)
    with pytest.raises(ValueError, match="size"):
        smooth(torch.zeros(1, 2), 2.0, size=0.0)
