import math

import pytest
import torch
from torch import Tensor

from pyspiga_geo.geometry import invert_transform, points_to_box, square_crop, transform_points, warp_image


def ramps(height: int, width: int) -> Tensor:
    """A picture [2, H, W] that shows where each pixel is: its x and its y."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).double()


def crop_grid(resolution: int) -> Tensor:
    """Positions (x, y) of all pixels of a crop [r * r, 2], row by row."""
    return ramps(resolution, resolution).flatten(1).mT


def similarity(zoom: float, degrees: float, shift: tuple[float, float]) -> Tensor:
    c, s = zoom * math.cos(math.radians(degrees)), zoom * math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]], dtype=torch.float64)


# Boxes and maps.


def test_points_to_box() -> None:
    points = torch.tensor([[[3.0, 10], [1, 12], [4, 11]], [[0, 0], [math.nan, math.nan], [-2, 5]]])
    assert points_to_box(points).tolist() == [[1, 10, 3, 2], [-2, 0, 2, 5]]
    assert points_to_box(points[0]).tolist() == [1, 10, 3, 2]


def test_square_crop_by_hand() -> None:
    # The longer side, 40, makes a crop of 64 picture pixels around (25, 40): from (-7, 8) to (57, 72).
    matrix = square_crop(torch.tensor([10.0, 20, 30, 40]), 256)
    assert matrix.tolist() == [[4, 0, 28], [0, 4, -32], [0, 0, 1]]
    corners = torch.tensor([[-7.0, 8], [57, 72], [25, 40]])
    assert transform_points(corners, matrix).tolist() == [[0, 0], [256, 256], [128, 128]]


def test_square_crop_scale() -> None:
    matrix = square_crop(torch.tensor([10.0, 20, 40, 30]), 80, scale=1)
    corners = torch.tensor([[10.0, 15], [50, 55]])  # the shorter side is centred
    assert transform_points(corners, matrix).tolist() == [[0, 0], [80, 80]]


def test_square_crop_of_many_boxes() -> None:
    boxes = torch.rand(2, 3, 4, dtype=torch.float64) * 50 + 1
    matrices = square_crop(boxes, 64)
    assert matrices.shape == (2, 3, 3, 3)
    assert matrices.dtype == torch.float64
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(matrices[i, j], square_crop(boxes[i, j], 64))


def test_box_of_whole_numbers_is_cropped_like_the_same_box_of_floats() -> None:
    box = [10, 20, 30, 41]  # a zoom that is no whole number
    torch.testing.assert_close(
        square_crop(torch.tensor(box), 256).float(), square_crop(torch.tensor(box).float(), 256)
    )


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
    matrices = torch.stack(
        [similarity(2.5, 30, (7, -9)), square_crop(torch.tensor([3.0, 4, 50, 60]).double(), 64)]
    )
    points = torch.rand(2, 5, 2, dtype=torch.float64) * 100
    again = transform_points(transform_points(points, matrices), invert_transform(matrices))
    torch.testing.assert_close(again, points, rtol=0, atol=1e-10)


# Pictures.


@pytest.mark.parametrize(
    "matrix",
    [
        similarity(1, 0, (0, 0)),
        similarity(1, 0, (-20.25, -10.5)),  # same size, between the pixels
        similarity(3.7, 0, (-90, -60)),  # larger
        similarity(0.7, 0, (-3, -2)),  # smaller, without area averaging
        similarity(0.45, 0, (0, 0.3)),  # smaller, blocks of 2
        similarity(0.21, 0, (3.2, 1.1)),  # smaller, blocks of 4
        similarity(1.5, 25, (-10, -20)),  # turned
        similarity(0.3, -40, (4, 15)),  # turned, smaller
    ],
    ids=lambda m: f"zoom {m[:2, :2].det().sqrt():.2f}",
)
def test_every_crop_pixel_shows_where_it_comes_from(matrix: Tensor) -> None:
    # The picture's values are its coordinates, so each crop pixel must read its own place of origin.
    height, width, resolution = 90, 120, 32
    crop = warp_image(ramps(height, width), matrix, resolution)
    assert crop.shape == (2, resolution, resolution)
    origin = transform_points(crop_grid(resolution), invert_transform(matrix))
    # Averaged blocks that reach over the picture's border mix in black: look inside.
    margin = 2 / matrix[:2, :2].det().sqrt().item() + 1
    low, high = torch.tensor([margin, margin]), torch.tensor([width - 1 - margin, height - 1 - margin])
    inside = ((origin >= low) & (origin <= high)).all(dim=1)
    assert inside.sum() > 50
    torch.testing.assert_close(crop.flatten(1).mT[inside], origin[inside], rtol=0, atol=1e-9)


def test_known_pixel_lands_where_transform_points_says() -> None:
    image = torch.zeros(1, 40, 50)
    x, y = 23, 17
    image[0, y, x] = 1
    matrix = square_crop(torch.tensor([15.0, 10, 16, 16]), 64, scale=1)  # 4 crop pixels a picture pixel
    column, row = (int(v) for v in transform_points(torch.tensor([[x, y]]).float(), matrix)[0])
    crop = warp_image(image, matrix, 64)
    assert crop[0, row, column] == 1
    assert (crop == 1).sum() == 1
    assert crop[0, row, column + 2] == 0.5  # half-way to the next pixel


def test_large_faces_do_not_alias() -> None:
    # A fine checkerboard, eight times too fine for the crop: even grey, not a pattern.
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    image = ((x + y) % 2).float()[None]
    crop = warp_image(image, square_crop(torch.tensor([0.0, 0, 256, 256]), 32, scale=1), 32)
    torch.testing.assert_close(crop[:, 2:-2, 2:-2], torch.full((1, 28, 28), 0.5))


@pytest.mark.parametrize("zoom", [2.0, 1.0, 0.25])
def test_outside_of_the_picture_is_black(zoom: float) -> None:
    image = torch.ones(3, 40, 40)
    # The crop shows the picture's right lower corner in its own left upper quarter.
    resolution = int(20 * zoom) * 2
    matrix = similarity(zoom, 0, (-20 * zoom, -20 * zoom))
    crop = warp_image(image, matrix, resolution)
    middle, fade = resolution // 2, math.ceil(zoom) + 1  # the border may fade over a pixel
    assert (crop[:, : middle - fade, : middle - fade] - 1).abs().max() < 1e-6
    assert (crop[:, middle + fade :] == 0).all()
    assert (crop[:, :, middle + fade :] == 0).all()


@pytest.mark.parametrize("side", [10.0, 400.0])
def test_crop_that_sees_nothing_is_black(side: float) -> None:
    box = torch.tensor([2000.0, -3000, side, side])
    crop = warp_image(torch.ones(3, 40, 40), square_crop(box, 16), 16)
    assert crop.shape == (3, 16, 16)
    assert (crop == 0).all()
