"""The optional head of a model that says how sure it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyspiga_geo.models import SPIGA

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
