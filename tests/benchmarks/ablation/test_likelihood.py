"""The likelihood of the truth under the uncertainty that cells learn."""

import math

import pytest
import torch
from ablation.cascades import CellCascade
from ablation.cells import Cell
from ablation.features import Features, Seen
from ablation.likelihood import Estimate, estimate, head_loss, make_head, surprises

from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.geometry import DEGREES_OF_FREEDOM
from pyspiga_geo.nn import NoMessage

LAYOUT = get_layout("ibug68")
DOUBLE = torch.double
NU = DEGREES_OF_FREEDOM


def faces(count: int) -> Seen:
    """Faces of the same shape, whose outer eye corners are a fifth of the crop apart."""
    points = torch.rand(count, 68, 2, dtype=DOUBLE)
    points[:, 36] = torch.tensor([0.4, 0.5], dtype=DOUBLE)
    points[:, 45] = torch.tensor([0.6, 0.5], dtype=DOUBLE)
    known = torch.ones(count, 68, dtype=torch.bool)
    return Seen(*[torch.empty(0)] * 4, points, known, known.double())


def student_errors(count: int) -> torch.Tensor:
    """Errors [count, 68, 2] of a bivariate Student t distribution whose covariance is the identity."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(count, 68, 2, generator=generator, dtype=DOUBLE)
    squares = torch.randn(count, 68, int(NU), generator=generator, dtype=DOUBLE).square().mean(dim=2, keepdim=True)
    return normal / squares.sqrt() * ((NU - 2) / NU) ** 0.5


def test_it_does_not_depend_on_how_large_all_deviations_are():
    seen = faces(40)
    covariance = 0.02**2 * torch.eye(2, dtype=DOUBLE).expand(40, 68, 2, 2)
    pos = seen.pos + 0.02 * student_errors(40)
    one, other = (
        surprises({"clear": Estimate(pos, factor * covariance)}, {"clear": seen}, LAYOUT)["clear"] for factor in (1, 25)
    )
    assert torch.allclose(one, other, atol=1e-9)


def test_it_is_the_entropy_where_the_errors_are_of_the_distribution():
    seen = faces(200)
    deviation = 0.02  # of the crop, and so a tenth of the eye corners' distance: 10 %
    covariance = deviation**2 * torch.eye(2, dtype=DOUBLE).expand(200, 68, 2, 2)
    found = {"clear": Estimate(seen.pos + deviation * student_errors(200), covariance)}
    scale = 10 * ((NU - 2) / NU) ** 0.5
    entropy = math.log(2 * math.pi * scale**2) + (NU + 2) / NU  # Kotz and Nadarajah, Multivariate t Distributions, 1.9
    assert surprises(found, {"clear": seen}, LAYOUT)["clear"].mean().item() == pytest.approx(entropy, abs=0.03)


def test_the_factor_of_a_face_is_that_of_the_other_half():
    seen = faces(40)
    even = (torch.arange(40) % 2 == 0)[:, None, None, None]
    covariance = 0.02**2 * torch.eye(2, dtype=DOUBLE).expand(40, 68, 2, 2)
    pos = seen.pos + 0.02 * student_errors(40)
    plain, even_larger, odd_smaller = (
        surprises({"clear": Estimate(pos, factor * covariance)}, {"clear": seen}, LAYOUT)["clear"]
        for factor in (torch.ones_like(covariance), torch.where(even, 4.0, 1.0), torch.where(even, 1.0, 0.25))
    )
    assert torch.allclose(even_larger, odd_smaller, atol=1e-9)
    assert (even_larger - plain).abs().mean() > 0.5  # its own half would have taken the factor back


def test_unknown_landmarks_have_none():
    seen = faces(4)
    seen.mask[0, 3] = False
    seen.pos[0, 3] = torch.nan
    covariance = torch.eye(2, dtype=DOUBLE).expand(4, 68, 2, 2)
    found = surprises({"clear": Estimate(seen.pos.nan_to_num() + 0.1, covariance)}, {"clear": seen}, LAYOUT)["clear"]
    assert torch.equal(found.isnan(), ~seen.mask)


def test_the_head_of_a_cell_sends_messages_as_its_cascade_does(tiny_model: SPIGA, features: Features):
    seen = features.evaluation()["clear"].rows(torch.arange(2))
    channels = [seen.coarse_map.size(1), seen.feature_map.size(1)]
    for conv in ("none", "gcn"):
        cascade = CellCascade(Cell(conv), tiny_model.layout, tiny_model.config, channels, 8, num_layers=1).eval()
        head = make_head(cascade, tiny_model.layout, 8, channels[1])
        silent = any(isinstance(module, NoMessage) for module in head.modules())
        assert silent == (conv == "none")
        head_loss(cascade, head, seen).backward()
        assert all(value.grad is None for value in cascade.parameters())
        assert any(value.grad is not None and value.grad.any() for value in head.parameters())
        found, visible = estimate(cascade, head, seen)
        assert found.covariance.shape == (2, 68, 2, 2)
        assert visible.shape == (2, 68)
