"""Boxes in the forms in which people have them: right, or refused."""

import numpy as np
import pytest
import torch

from pyspiga_geo.inference.boxes import as_boxes

IMAGE = torch.zeros(3, 60, 80)


@pytest.mark.parametrize(
    "boxes",
    [
        [[10, 20, 30, 25]],
        [10, 20, 30, 25],
        ((10, 20, 30, 25),),
        np.array([[10, 20, 30, 25]]),
        np.array([[10, 20, 30, 25, 0.9]]),
        torch.tensor([[10, 20, 30, 25]]),
        torch.tensor([[10, 20, 30, 25]], dtype=torch.float64),
        [np.array([10, 20, 30, 25])],
    ],
)
def test_one_box_in_every_form_is_one_box(boxes):
    assert torch.equal(as_boxes(boxes, IMAGE).box, torch.tensor([[10.0, 20, 30, 25]]))


def test_corners_and_none_at_all():
    assert as_boxes([[10, 20, 40, 45]], IMAGE, "xyxy").box.tolist() == [[10, 20, 30, 25]]
    for none in ([], np.zeros((0, 4)), torch.zeros(0, 5), torch.zeros(0)):
        assert as_boxes(none, IMAGE).box.shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "box_format", "reason"),
    [
        ([[10, 20, 30]], "xywh", r"must be \[N, 4\]"),
        ([[10, 20, 30, 25, 1, 1]], "xywh", r"must be \[N, 4\]"),
        (np.zeros((1, 1, 4)), "xywh", r"must be \[N, 4\]"),
        ([[10, 20, 30, 25], [1, 2]], "xywh", "must be numbers"),
        ("face", "xywh", "must be numbers"),
        ([[1, 2, 3, 10**400]], "xywh", "must be numbers"),
        ([[40, 45, 10, 20]], "xyxy", "no size: left, top, right, bottom"),
        ([[10, 20, np.inf, 25]], "xywh", "outside of the picture"),
        ([[10, 20, 30, 25]], "cxcywh", "box_format must be"),
    ],
)
def test_what_is_no_box_is_told(boxes, box_format, reason):
    with pytest.raises(ValueError, match=reason):
        as_boxes(boxes, IMAGE, box_format)
