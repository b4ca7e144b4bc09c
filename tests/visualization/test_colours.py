"""What is compared in a picture can be told apart by colour-blind people."""

import itertools

import numpy as np
import pytest
from ablation.figures import CONDITION_STYLES, STYLES
from skimage.color import deltaE_ciede2000, rgb2lab

from pyspiga_geo.visualization.colours import FOUND, POSE_AXES, TRUTH

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009),
# severity 1, on linear RGB.
SEEN = {
    "all": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


def lab(colour: str, matrix: np.ndarray) -> np.ndarray:
    """A colour in CIE L*a*b*, as it is seen."""
    rgb = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = (np.asarray(matrix) @ linear).clip(0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def difference(one: str, other: str, seen: str) -> float:
    return float(deltaE_ciede2000(lab(one, SEEN[seen]), lab(other, SEEN[seen])))


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize(
    "colours",
    [
        (TRUTH, FOUND),
        [colour for _, colour, _ in POSE_AXES],
        [colour for colour, _ in STYLES.values()],
        [colour for colour, _ in CONDITION_STYLES],
    ],
    ids=["true and found", "pose", "operators", "conditions"],
)
def test_colours_differ(colours, seen):
    least = 20 if seen != "protanopia" else 12
    assert min(difference(*pair, seen) for pair in itertools.combinations(colours, 2)) >= least


def test_the_measure_tells_what_is_told_apart_badly():
    assert difference("#34c759", "#ff3b6b", "deuteranopia") == pytest.approx(6.6, abs=0.1)
    assert difference("#34c759", "#ff3b6b", "all") > 60


@pytest.mark.parametrize("styles", [STYLES.values(), CONDITION_STYLES], ids=["operators", "conditions"])
def test_markers_differ_too(styles):
    assert len({marker for _, marker in styles}) == len(styles)
