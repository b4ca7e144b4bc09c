import math

import pytest
import torch
from torch import Tensor

from pyspiga_geo.geometry import invert_transform, square_crop, transform_points, warp_image
from pyspiga_geo.geometry.warp import _plan


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


@pytest.mark.parametrize(
    "matrix",
    [
        similarity(1, 0, (0, 0)),
        similarity(1, 0, (-20.25, -10.5)),  # same size, between the pixels
        similarity(3.7, 0, (-90, -60)),  # larger
        similarity(0.7, 0, (-3, -2)),  # smaller, single pixels mixed
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
    # What reaches over the picture's border mixes in black: look inside.
    margin = 3 / matrix[:2, :2].det().sqrt().item() + 1
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


def centred(factor: float, degrees: float, resolution: int) -> Tensor:
    """A map that shrinks by a factor around the middle of a picture of 300 pixels, between its pixels."""
    matrix = similarity(1 / factor, degrees, (0, 0))
    matrix[:2, 2] = resolution / 2 - matrix[:2, :2] @ torch.tensor([150.3, 149.6]).double()
    return matrix


def waves(x: Tensor, period: float) -> Tensor:
    return torch.cos(2 * math.pi * x / period)[None]


def strength(crop: Tensor) -> float:
    """Share that is left of a pattern of -1 and 1, but at the crop's rim, where it may meet black."""
    return crop[:, 2:-2, 2:-2].square().mean().sqrt().item()


@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize("factor", [1.25, 1.5, 1.75, 2, 2.1, 2.5, 3.3, 4.1, 5])
def test_what_is_too_fine_for_the_crop_is_averaged_away(factor: float, degrees: float) -> None:
    """Sampling without a filter would leave 0.33 of the checkerboard and 0.58 of the stripes."""
    x, y = ramps(300, 300)
    matrix = centred(factor, degrees, 48)
    checkerboard, stripes = waves(x + y, 2), waves(x, 2)
    assert strength(warp_image(checkerboard, matrix, 48)) < (0.1 if factor < 1.5 else 0.02)
    if factor >= 1.5:
        assert strength(warp_image(stripes, matrix, 48)) < 0.1
    # Yet waves that the crop can show well stay, a whole one over eight of its pixels.
    assert strength(warp_image(waves(x, 8 * factor), matrix, 48)) > 0.87 * 0.5**0.5


def test_an_axis_that_does_not_shrink_is_not_blurred() -> None:
    x, y = ramps(90, 90)
    matrix = torch.tensor([[0.4, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert strength(warp_image(waves(x, 2), matrix, 36)) < 0.1
    torch.testing.assert_close(warp_image(waves(y, 2), matrix, 32)[:, :, 2:-2], waves(y, 2)[:, :32, :28])


@pytest.mark.parametrize("factor", [0.8, 1.3, 2.5, 5])
def test_mirrored_crop_is_mirrored_exactly(factor: float) -> None:
    image, matrix = torch.rand(1, 150, 150, dtype=torch.float64), centred(2 * factor, 20, 24)
    mirror = torch.tensor([[-1.0, 0, 24], [0, 1, 0], [0, 0, 1]]).double()
    plain, mirrored = warp_image(image, matrix, 24), warp_image(image, mirror @ matrix, 24)
    torch.testing.assert_close(mirrored[:, :, 1:], plain[:, :, 1:].flip(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [0.8, 1, 1.3, 2])
def test_crop_of_the_mirrored_picture_is_the_mirrored_crop(factor: float) -> None:
    """Also at the picture's border."""
    image = torch.rand(1, 40, 40, dtype=torch.float64)
    matrix = similarity(1 / factor, 0, (3.2, 1.1))
    mirror = torch.tensor([[-1.0, 0, 39], [0, 1, 0], [0, 0, 1]]).double()
    torch.testing.assert_close(
        warp_image(image.flip(2), matrix @ mirror, 60), warp_image(image, matrix, 60), rtol=0, atol=1e-12
    )


def test_gradients_reach_the_picture_and_the_map() -> None:
    image = torch.rand(1, 12, 12, dtype=torch.float64, requires_grad=True)
    matrix = similarity(0.4, 20, (0.3, 0.4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: warp_image(image, matrix.detach(), 4), image)
    warp_image(image, matrix, 4).sum().backward()
    assert matrix.grad is not None
    assert matrix.grad[:2].all()


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(1, 3, 4, 4),
        torch.zeros(4, 4),
        torch.zeros(3, 0, 4),
    ],
)
def test_what_is_no_picture_is_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"image must be float \[C, H, W\]"):
        warp_image(image, torch.eye(3), 4)


@pytest.mark.parametrize("matrix", [torch.eye(3)[None], torch.eye(2), torch.zeros(3, 3), torch.full((3, 3), math.nan)])
def test_what_is_no_map_is_refused(matrix: Tensor) -> None:
    with pytest.raises(ValueError, match=r"matrix must be an affine map \[3, 3\] that has an inverse"):
        warp_image(torch.zeros(3, 4, 4), matrix, 4)


@pytest.mark.parametrize("zoom", [2.0, 1.0, 0.65, 0.25])
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


def test_picture_smaller_than_a_crop_pixel() -> None:
    crop = warp_image(torch.ones(3, 40, 40), square_crop(torch.tensor([-1e6, -1e6, 2e6, 2e6]), 16), 16)
    assert 0 <= crop.min() <= crop.max() <= 1


@pytest.mark.parametrize(("factor", "block"), [(1.05, 1), (2.1, 1), (2.2, 2), (3.0, 2), (4.0, 3), (5.0, 4), (14.1, 10)])
def test_blocks_are_the_factor_over_the_root_of_two(factor: float, block: int) -> None:
    assert _plan(factor, 0.0, 500.0, 600).block == block


@pytest.mark.parametrize("factor", [3.0, 4.9, 6.2])
def test_the_three_filters_have_the_variance_of_one_triangle(factor: float) -> None:
    plan = _plan(factor, 0.0, 500.0, 600)
    assert 0 < plan.share < 0.25
    triangle = plan.block**2 / 6  # variance of a triangle whose half-width is a block
    assert 2 * triangle + 2 * plan.share * plan.block**2 == pytest.approx(factor**2 / 6, rel=1e-12)


def test_shares_of_single_pixels_and_their_limits() -> None:
    shares = [_plan(factor, 0.0, 500.0, 600).share for factor in (1.2, 1.5, 1.7, 5.6)]
    assert shares == pytest.approx([0.1, 0.25, 0.25, 0.0], rel=1e-12)  # of 4 blocks in 5.6 pixels: less than nothing


@pytest.mark.parametrize(
    ("low", "high", "length", "expected"),
    [
        (100.5, 200.25, 600, (94, 207, 57)),  # three blocks of two more on either side
        (1.5, 598.5, 600, (-4, 604, 304)),  # two blocks beyond the picture, where all is black
        (700.0, 900.0, 600, (599, 604, 3)),  # a crop that shows nothing of it keeps a pixel
        (-900.0, -700.0, 600, (-4, 1, 3)),
    ],
)
def test_what_is_read_of_the_picture(low: float, high: float, length: int, expected: tuple[int, int, int]) -> None:
    start, wanted_stop, number = expected
    plan = _plan(3.0, low, high, length)
    assert (plan.start, plan.number) == (start, number)
    assert wanted_stop <= plan.stop < wanted_stop + plan.block


def test_blocks_in_a_narrow_picture() -> None:
    assert [_plan(50.0, -20.0, 30.0, length).block for length in (1, 2, 9, 600)] == [1, 1, 4, 35]


def test_each_axis_of_the_picture_is_reduced_by_its_own_factor() -> None:
    """A crop turned by a quarter and three times as wide: fine stripes across it vanish, those along it stay."""
    transposed = torch.tensor([[0.0, 1, 0], [1 / 3, 0, 0], [0, 0, 1]], dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(90.0), torch.arange(90.0), indexing="ij")
    across, along = (
        warp_image(columns[None].double() % 2, transposed, 30),
        warp_image(rows[None].double() % 2, transposed, 30),
    )
    inner = slice(6, 24)
    torch.testing.assert_close(
        across[0, inner, inner], torch.full((18, 18), 0.5, dtype=torch.float64), atol=0.03, rtol=0
    )
    torch.testing.assert_close(along[0, inner, inner], (torch.arange(6.0, 24) % 2).double().expand(18, 18))
