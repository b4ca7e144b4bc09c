import math

import pytest
import torch
from torch import Tensor

from pyspiga_geo.geometry import invert_transform, points_to_box, square_crop, transform_points


def similarity(zoom: float, degrees: float, shift: tuple[float, float]) -> Tensor:
    c, s = zoom * math.cos(math.radians(degrees)), zoom * math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]], dtype=torch.float64)


def test_points_to_box() -> None:
    points = torch.tensor([[[3.0, 10], [1, 12], [4, 11]], [[0, 0], [math.nan, math.nan], [-2, 5]]])
    assert points_to_box(points).tolist() == [[1, 10, 3, 2], [-2, 0, 2, 5]]
    assert points_to_box(points[0]).tolist() == [1, 10, 3, 2]
    assert points_to_box(torch.full((2, 2), math.nan)).isnan().all()


def test_square_crop_by_hand() -> None:
    # The longer side, 40, makes a crop of 64 picture pixels around (25, 40): from (-7, 8) to (57, 72).
    matrix = square_crop(torch.tensor([10.0, 20, 30, 40]), 256)
    assert matrix.tolist() == [[4, 0, 28], [0, 4, -32], [0, 0, 1]]
    corners = torch.tensor([[-7.0, 8], [57, 72], [25, 40]])
    assert transform_points(corners, matrix).tolist() == [[0, 0], [256, 256], [128, 128]]


@pytest.mark.parametrize(
    ("box", "corners"),  # the shorter side is centred
    [([-10.0, -20, 40, 30], [[-10.0, -25], [30, 15]]), ([3.0, 90, 0.5, 0.25], [[3, 89.875], [3.5, 90.375]])],
)
def test_square_crop_scale(box: list[float], corners: list[list[float]]) -> None:
    matrix = square_crop(torch.tensor(box), 80, scale=1)
    assert transform_points(torch.tensor(corners), matrix).tolist() == [[0, 0], [80, 80]]


def test_turned_crop_shows_its_content_upright() -> None:
    # 0.8 crop pixels a picture pixel. Turned by 30 degrees clockwise, up is (sin 30, -cos 30) in the picture.
    box, sin, cos = torch.tensor([10.0, 20, 50, 30], dtype=torch.float64), 0.5, 0.75**0.5
    points = torch.tensor([[0, 0], [10 * sin, -10 * cos], [10 * cos, 10 * sin]], dtype=torch.float64) + 35
    crop = transform_points(points, square_crop(box, 64, turn=torch.tensor(30)))
    expected = torch.tensor([[32, 32], [32, 24], [40, 32]], dtype=torch.float64)
    torch.testing.assert_close(crop, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_square_crop_of_many_boxes(turned: bool) -> None:
    boxes = torch.rand(2, 3, 4, dtype=torch.float64) * 50 + 1
    turn = torch.rand(2, 3) * 360 if turned else None
    matrices = square_crop(boxes, 64, turn=turn)
    assert matrices.shape == (2, 3, 3, 3)
    assert matrices.dtype == torch.float64
    for i in range(2):
        for j in range(3):
            alone = square_crop(boxes[i, j], 64, turn=None if turn is None else turn[i, j])
            torch.testing.assert_close(matrices[i, j], alone)


def test_box_of_whole_numbers_is_cropped_like_the_same_box_of_floats() -> None:
    box = [10, 20, 30, 41]  # a zoom that is no whole number
    torch.testing.assert_close(square_crop(torch.tensor(box), 256).float(), square_crop(torch.tensor(box).float(), 256))


@pytest.mark.parametrize(
    "box",
    [
        [0.0, 0, 0, 10],
        [0.0, 0, 10, 0],
        [0.0, 0, 0, 0],
        [5.0, 5, -3, 4],
        [math.nan, 0, 1, 1],
        [0, 0, math.inf, 1],
    ],
)
def test_box_without_size_is_refused(box: list[float]) -> None:
    with pytest.raises(ValueError, match="positive width and height"):
        square_crop(torch.tensor(box), 64)
    with pytest.raises(ValueError, match="positive width and height"):  # also as one of many
        square_crop(torch.tensor([[0.0, 0, 1, 1], box]), 64)


def test_transform_points_of_a_batch() -> None:
    matrices = torch.stack([similarity(2, 0, (1, -1)), similarity(1, 90, (0, 0))])
    points = torch.tensor([[[1.0, 2], [0, 0]], [[1, 2], [0, 3]]], dtype=torch.float64)
    expected = [[[3, 3], [1, -1]], [[-2, 1], [-3, 0]]]
    moved = transform_points(points, matrices)
    torch.testing.assert_close(moved, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_inverse_brings_points_back() -> None:
    matrices = torch.stack([similarity(2.5, 30, (7, -9)), square_crop(torch.tensor([3.0, 4, 50, 60]).double(), 64)])
    points = torch.rand(2, 5, 2, dtype=torch.float64) * 100
    again = transform_points(transform_points(points, matrices), invert_transform(matrices))
    torch.testing.assert_close(again, points, rtol=0, atol=1e-10)
