"""The optional head of a model that says how sure it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyspiga_geo.models import SPIGA
from pyspiga_geo.nn import ShapePrior

TinyModel = Callable[..., SPIGA]


def test_off_it_leaves_no_trace(tiny_model: TinyModel) -> None:
    model = tiny_model()
    assert not any("uncertainty" in name for name in model.state_dict())
    out = model(torch.rand(1, 3, 32, 32))
    assert out.covariance is None
    assert out.visible is None


@pytest.mark.parametrize("preset", ["paper", "reference", "compact"])
def test_on_it_says_how_sure(preset: str, tiny_model: TinyModel) -> None:
    model = tiny_model(preset=preset, uncertainty=True)
    with torch.no_grad():
        out = model(torch.rand(3, 3, 32, 32))
    assert out.covariance.shape == (3, 68, 2, 2)
    assert (torch.linalg.eigvalsh(out.covariance) > 0).all()
    assert out.visible.shape == (3, 68)
    assert ((out.visible > 0) & (out.visible < 1)).all()


@pytest.mark.parametrize("conv", ["gcn", "none", ["attention", "gcn"]])
def test_its_graph_operator_is_that_of_the_last_step(conv: str | list[str], tiny_model: TinyModel) -> None:
    model, attentive = tiny_model(conv=conv, uncertainty=True), tiny_model(uncertainty=True)
    weights, others = (set(each.uncertainty.state_dict()) for each in (model, attentive))
    assert any("query" in name for name in others)
    assert not any("query" in name for name in weights)
    with torch.no_grad():
        out = model(torch.rand(2, 3, 32, 32))
    assert out.covariance.isfinite().all()


def test_a_finished_model_gets_a_head_and_keeps_its_landmarks(tiny_model: TinyModel, tmp_path: Path) -> None:
    plain, images = tiny_model(), torch.rand(2, 3, 32, 32)
    model = plain.with_uncertainty().eval()
    assert model.with_uncertainty() is model
    assert plain.uncertainty is None
    assert set(plain.state_dict()) < set(model.state_dict())
    with torch.no_grad():
        before, after = plain(images), model(images)
        assert torch.equal(before.landmarks, after.landmarks)
        model.save(tmp_path / "sure.safetensors")
        again = SPIGA.from_pretrained(tmp_path / "sure.safetensors")(images)
    assert torch.equal(again.covariance, after.covariance)
    assert torch.equal(again.visible, after.visible)


def test_a_head_of_ones_own(tiny_model: TinyModel) -> None:
    class Flat(torch.nn.Module):
        def forward(self, x, feature_map, pos, edge_index=None):
            return torch.eye(2).expand(*pos.shape, 2), torch.zeros(pos.shape[:2])

    usual = tiny_model()
    model = SPIGA(usual.backbone, usual.start, usual.cascade, usual.layout, uncertainty=Flat()).eval()
    model.config = usual.config
    face = model(torch.rand(1, 3, 32, 32)).to_data_list()[0]
    assert (face.sigma == 1).all()
    assert (face.visible == 0.5).all()


def test_without_steps_or_configuration_there_is_no_head(tiny_model: TinyModel) -> None:
    with pytest.raises(ValueError, match="uncertainty needs a cascade of one step or more"):
        tiny_model(num_steps=0, uncertainty=True)
    usual = tiny_model()
    with pytest.raises(ValueError, match=r"takes its head as SPIGA\(\.\.\., uncertainty=\.\.\.\)"):
        SPIGA(usual.backbone, usual.start, usual.cascade, usual.layout).with_uncertainty()


def test_it_follows_the_edges(tiny_model: TinyModel) -> None:
    model = tiny_model(uncertainty=True)
    with torch.no_grad():
        whole, ring = (model(torch.ones(1, 3, 32, 32), edges) for edges in (None, torch.tensor([[0, 1], [1, 0]])))
    assert not torch.equal(whole.visible, ring.visible)


def with_shapes(model: SPIGA, modes: int) -> SPIGA:
    """The model with a prior of its own mean shape that varies at random."""
    random = torch.Generator().manual_seed(0)
    across = torch.linalg.qr(torch.randn(2 * 68, modes, generator=random)).Q.view(68, 2, modes)
    model = model.with_uncertainty(modes)
    mean = model.shape_prior.mean + 0.3 * torch.randn(68, 2, generator=random)
    model.shape_prior.set_shapes(mean, across, torch.linspace(1, 0.1, modes), 0.01)
    return model.eval()


def test_a_shape_prior_corrects_the_last_step(tiny_model: TinyModel, tmp_path: Path) -> None:
    plain, images = tiny_model(), torch.rand(2, 3, 32, 32)
    model = with_shapes(plain, 6)
    assert model.with_uncertainty() is model.with_uncertainty(6) is model
    assert model.with_uncertainty(7).uncertainty is model.uncertainty
    with torch.no_grad():
        before, after = plain(images), model(images)
    for step, same in zip(after.steps, before.steps, strict=True):
        assert torch.equal(step, same)
    assert torch.equal(after.landmarks, model.shape_prior(after.steps[-1], after.covariance, after.visible))
    assert (after.landmarks - before.landmarks).abs().max() > 1e-3
    model.save(tmp_path / "shapes.safetensors", half=True)
    again = SPIGA.from_pretrained(tmp_path / "shapes.safetensors")
    assert torch.equal(again.shape_prior.modes, model.shape_prior.modes)


def test_a_prepared_model_has_the_same_shapes(tiny_model: TinyModel) -> None:
    model, images = with_shapes(tiny_model(), 6), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = model(images).landmarks
        torch.testing.assert_close(model.optimize()(images).landmarks, expected, rtol=0, atol=1e-5)
        half = model.optimize(dtype=torch.bfloat16)
        assert torch.equal(half.shape_prior.mean, model.shape_prior.mean)
        assert half(images).landmarks.dtype == torch.float32


def test_shapes_without_a_head(tiny_model: TinyModel) -> None:
    with pytest.raises(ValueError, match="shape_modes must be 0 without uncertainty, got 6"):
        tiny_model(shape_modes=6)
    usual = tiny_model()
    with pytest.raises(ValueError, match="shape_prior needs an uncertainty head"):
        SPIGA(usual.backbone, usual.start, usual.cascade, usual.layout, shape_prior=ShapePrior(68, 3))
    with pytest.raises(ValueError, match=r"shape_modes 133 does not fit layout 'ibug68': num_modes must be in 0..132"):
        usual.with_uncertainty(133)
