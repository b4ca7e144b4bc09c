"""Differences of cells, over faces and over trainings."""

import numpy as np
import pytest
from ablation.difference import compare_trainings, welch


def test_an_interval_holds_the_true_difference_as_often_as_it_says():
    generator = np.random.default_rng(0)
    held, trials = {1: 0, 3: 0}, 200

    def trainings(seeds: int) -> np.ndarray:
        """Errors with a part of each training's own, and one of each face under each training."""
        return generator.normal(size=(seeds, 1)) * 0.1 + generator.normal(size=(seeds, 100)) * 0.5

    for seeds in held:
        for _ in range(trials):
            difference, reach, _ = welch(trainings(seeds) + 1, trainings(3))
            held[seeds] += abs(difference - 1) <= reach
    assert 0.9 < held[3] / trials <= 1
    assert held[1] < held[3]  # a single training tells nothing of its spread


def test_a_difference_is_told_with_its_probabilities():
    generator = np.random.default_rng(0)
    faces = generator.normal(size=(1, 50))
    noise = [0.01 * generator.normal(size=(3, 50)) for _ in range(2)]
    found = compare_trainings(2 + faces + noise[0], 1.9 + faces + noise[1])
    assert found.difference == pytest.approx(0.1, abs=0.01)
    assert found.low < found.difference < found.high
    assert max(found.p_welch, found.p_permutation, found.p_wilcoxon) < 0.01
    same = compare_trainings(faces, faces)
    assert (same.difference, same.low, same.high, same.p_welch) == (0, 0, 0, 1)
    assert np.isnan(compare_trainings(faces[:, :1], 1 + faces[:, :1]).low)  # one face, one training
