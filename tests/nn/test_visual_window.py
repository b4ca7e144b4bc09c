import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pyspiga_geo.nn import VisualWindow, sample_windows


def sampled(feature_map: Tensor, pos: Tensor, window: float, samples: int = 7) -> Tensor:
    """The values a window reads [B, L, C, samples, samples] (rows, columns), before the linear map."""
    return sample_windows(feature_map, pos, window, samples).transpose(1, 2).unflatten(-1, (samples, samples))


def ramps(height: int, width: int) -> Tensor:
    """A map [1, 2, H, W] that shows where each pixel is: its x and its y."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).double()[None]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (24, 40)], ids=["square", "wide"])
@pytest.mark.parametrize("samples", [7, 4])
def test_samples_spread_from_the_first_to_the_last_pixel_of_the_window(samples: int, height: int, width: int) -> None:
    # A window of a quarter of the map in both directions, wholly inside of it.
    pos = torch.tensor([[[0.5, 0.5], [0.31, 0.64]]], dtype=torch.float64)
    read_x, read_y = sampled(ramps(height, width), pos, 0.25, samples).unbind(2)
    steps = torch.linspace(-0.5, 0.5, samples, dtype=torch.float64)
    for landmark, (x, y) in enumerate(pos[0]):  # pos is the pixel index divided by the resolution
        across = x * width + steps * (width / 4 - 1)
        down = y * height + steps * (height / 4 - 1)
        torch.testing.assert_close(read_x[0, landmark], across.expand(samples, samples), rtol=0, atol=1e-10)
        torch.testing.assert_close(read_y[0, landmark].T, down.expand(samples, samples), rtol=0, atol=1e-10)


def test_window_of_as_many_pixels_as_samples_reads_the_pixels() -> None:
    feature_map = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    pos = torch.tensor([[[8 / 16, 5 / 16]]], dtype=torch.float64)
    read = sampled(feature_map, pos, 5 / 16, samples=5)[0, 0]
    torch.testing.assert_close(read, feature_map[0, :, 3:8, 6:11], rtol=0, atol=1e-12)


def test_single_sample_is_the_landmark_itself() -> None:
    pos = torch.tensor([[[0.5, 0.25]]], dtype=torch.float64)
    assert sampled(ramps(16, 32), pos, 0.25, samples=1).flatten().tolist() == [16, 4]


@pytest.mark.parametrize("side", [16, 8, 4])
def test_affine_grid_of_the_reference(side: int) -> None:
    feature_map = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    pos = torch.rand(2, 5, 2, dtype=torch.float64) * 1.4 - 0.2  # some of them outside of the map
    scale = 7 / 64 * (side - 1) / (7 - 1)
    expected = torch.empty(2, 5, 3, 7, 7, dtype=torch.float64)
    for item in range(2):
        for landmark, (x, y) in enumerate((2 * (pos[item] + 0.5 / 64) - 1).tolist()):
            theta = torch.tensor([[[scale, 0, x], [0, scale, y]]], dtype=torch.float64)
            grid = F.affine_grid(theta, [1, 3, 7, 7], align_corners=False)
            (expected[item, landmark],) = F.grid_sample(
                feature_map[item : item + 1], grid, padding_mode="border", align_corners=False
            )
    torch.testing.assert_close(sampled(feature_map, pos, side / 64), expected, rtol=0, atol=1e-12)


def test_border_of_the_map_is_repeated() -> None:
    pos = torch.tensor([[[-5.0, 0.5], [0.5, 7], [0, 0]]], dtype=torch.float64)
    x, y = sampled(ramps(16, 24), pos, 0.5).unbind(2)
    assert (x[0, 0] == 0).all()  # far left
    assert (y[0, 1] == 15).all()  # far below
    assert (x[0, 2] >= 0).all()
    assert (x[0, 2, :, :4] == 0).all()  # around the corner: the half of the window that is outside
    assert (x[0, 2, :, 4:] > 0).all()


def test_window_narrower_than_a_pixel_is_not_mirrored() -> None:
    # The windows of a long cascade, or on a small map, become this small.
    pos = torch.tensor([[[0.5, 0.5]]], dtype=torch.float64)
    x, y = sampled(ramps(8, 8), pos, 1 / 16, samples=3)[0, 0]
    assert (x.diff(dim=1) >= 0).all()
    assert (y.diff(dim=0) >= 0).all()


def test_linear_map_is_the_convolution_of_the_reference() -> None:
    # All samples of all channels to one vector: a convolution as large as the window, weights in the same order.
    feature_map = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    pos = torch.rand(2, 5, 2, dtype=torch.float64)
    window = VisualWindow(3, 4).double()
    weight = window.lin.weight.view(4, 3, 7, 7)
    seen = sampled(feature_map, pos, 0.25)
    expected = F.conv2d(seen.flatten(0, 1), weight, window.lin.bias).view(2, 5, 4)
    torch.testing.assert_close(window(feature_map, pos, 0.25), expected, rtol=0, atol=1e-12)


def test_gradients_reach_positions_and_map() -> None:
    feature_map = torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    # Away from the places where bilinear interpolation has a kink.
    pos = torch.tensor([[[0.53, 0.47]]], dtype=torch.float64, requires_grad=True)
    window = VisualWindow(2, 3, samples=2).double()
    assert torch.autograd.gradcheck(lambda f, p: window(f, p, 0.43), (feature_map, pos))
    (grad,) = torch.autograd.grad(window(feature_map, pos, 0.43).sum(), pos)
    assert (grad != 0).all()


def test_grid_is_not_part_of_the_state() -> None:
    assert set(VisualWindow(2, 3).state_dict()) == {"lin.weight", "lin.bias"}
