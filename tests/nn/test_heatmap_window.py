import pytest
import torch
from torch import Tensor

from pyspiga_geo.nn import HeatmapWindow


def read(heatmaps: Tensor, pos: Tensor, window: float, samples: int) -> tuple[Tensor, Tensor]:
    """What the linear map is given: density within the window and share of the whole, [B, L, samples^2] each."""
    module, told = HeatmapWindow(4, samples).to(heatmaps.dtype), []
    module.lin.register_forward_pre_hook(lambda _, args: told.extend(args))
    module(heatmaps, pos, window)
    inside, share = told[0].chunk(2, dim=-1)
    return inside, share


def test_each_landmark_reads_its_own_map() -> None:
    heatmaps = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    pos = torch.tensor([[8 / 16, 5 / 16]], dtype=torch.float64).expand(2, 3, 2)
    inside, share = read(heatmaps, pos, 5 / 16, samples=5)  # as many pixels as samples: the pixels themselves
    for item in range(2):
        for landmark in range(3):
            pixels = heatmaps[item, landmark, 3:8, 6:11].flatten()
            density = (heatmaps[item, landmark] - heatmaps[item, landmark].logsumexp(dim=(0, 1)))[3:8, 6:11]
            torch.testing.assert_close(inside[item, landmark], pixels.softmax(dim=0), rtol=0, atol=1e-12)
            torch.testing.assert_close(share[item, landmark], density.flatten() / 10, rtol=0, atol=1e-12)


def test_a_constant_added_to_a_map_changes_nothing() -> None:
    heatmaps, pos = torch.randn(1, 3, 8, 8), torch.rand(1, 3, 2)
    window = HeatmapWindow(4, samples=3)
    torch.testing.assert_close(window(heatmaps + 50, pos, 0.5), window(heatmaps, pos, 0.5))


def test_what_is_all_but_impossible_is_bounded() -> None:
    heatmaps = torch.zeros(1, 1, 16, 16)
    heatmaps[..., 15, 15] = 1000.0
    inside, share = read(heatmaps, torch.tensor([[[0.2, 0.2]]]), 0.25, samples=3)
    assert (share == -1).all()
    torch.testing.assert_close(inside.sum(dim=-1), torch.ones(1, 1))


def test_mean_of_the_density_is_a_linear_map_away() -> None:
    x, y = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="xy")
    heatmaps = -((x - 17.3) ** 2 + (y - 14.6) ** 2)[None, None].double()
    inside, _ = read(heatmaps, torch.tensor([[[0.5, 0.5]]]).double(), 9 / 32, samples=9)
    steps = torch.arange(9).double() - 4
    density = inside.view(9, 9)
    assert (density.sum(dim=0) @ steps).item() == pytest.approx(1.3, abs=1e-3)
    assert (density.sum(dim=1) @ steps).item() == pytest.approx(-1.4, abs=1e-3)


def test_gradients_reach_positions_and_maps() -> None:
    heatmaps = torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    pos = torch.tensor([[[0.53, 0.47], [0.28, 0.66]]], dtype=torch.float64, requires_grad=True)
    window = HeatmapWindow(3, samples=2).double()
    assert torch.autograd.gradcheck(lambda h, p: window(h, p, 0.43), (heatmaps, pos))
