import math

import pytest
import torch

from pyspiga_geo.tracking import FaceSmoother, OneEuroFilter

FACE = torch.tensor([[-40.0, 0], [40, 0], [0, 30], [-20, 60], [20, 60]], dtype=torch.float64)


def moved(time):
    """The face turns, grows and crosses the picture at two face sizes per second."""
    angle = torch.tensor(0.5 * math.sin(3 * time))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2).double()
    return (1 + 0.3 * time) * FACE @ turn.T + torch.tensor([160 * time, 50.0])


def follow(positions, **settings):
    smooth = FaceSmoother(**settings)
    return torch.stack([smooth(pos, number / 25) for number, pos in enumerate(positions)])


def test_what_is_common_to_all_is_filtered_as_a_motion():
    """A face that only shifts: its centre goes through a 1€ filter, and its shape stays to the bit of rounding."""
    steps = torch.randn(30, 1, 2, dtype=torch.float64).cumsum(dim=0)
    found = follow(FACE + steps, min_cutoff=1.0, beta=2.0)
    size = 2 * (FACE - FACE.mean(dim=0)).norm(dim=-1).max().item()
    plain = OneEuroFilter(1.0, 2.0)
    centres = torch.stack([plain((FACE + step).mean(dim=0), number / 25, size) for number, step in enumerate(steps)])
    assert torch.allclose(found.mean(dim=1), centres, atol=1e-9)
    assert torch.allclose(
        found - found.mean(dim=1, keepdim=True), (FACE - FACE.mean(dim=0)).expand(30, 5, 2), atol=1e-9
    )


def test_jitter_of_single_landmarks_goes_and_motion_stays():
    truth = torch.stack([moved(number / 25) for number in range(100)])
    noisy = truth + 0.5 * torch.randn_like(truth)
    found = follow(noisy)

    def jitter(positions):
        return (positions - truth).diff(n=2, dim=0).norm(dim=-1).mean()

    assert jitter(found) < 0.6 * jitter(noisy)
    velocity = truth.diff(dim=0)
    lag = -((found - truth)[1:] * velocity).sum() / velocity.square().sum()
    assert 0 <= lag < 0.3  # frames
    plain = OneEuroFilter(beta=2.0)
    late = torch.stack([plain(pos, number / 25, 80.0) for number, pos in enumerate(noisy)])
    assert (found - truth).norm(dim=-1).mean() < 0.2 * (late - truth).norm(dim=-1).mean()


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_size_and_place_of_the_face_do_not_matter(scale):
    noisy = torch.stack([moved(number / 25) for number in range(20)]) + 100
    noisy = 20 * (noisy + torch.randn_like(noisy))
    assert torch.allclose(follow(scale * noisy + 7), scale * follow(noisy) + 7, rtol=1e-9)


@pytest.mark.parametrize("landmarks", [1, 2])
def test_few_landmarks_are_smoothed_too(landmarks):
    noisy = FACE[:landmarks] + torch.randn(20, landmarks, 2, dtype=torch.float64)
    found = follow(noisy)
    assert found.isfinite().all()
    assert found.diff(dim=0).norm(dim=-1).mean() < noisy.diff(dim=0).norm(dim=-1).mean()
