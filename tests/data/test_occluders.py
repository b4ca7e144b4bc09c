"""Painted occluders: what they hide is exactly what they say."""

import pytest
import torch

from pyspiga_geo import FaceData
from pyspiga_geo.data.transforms import RandomOcclusion
from pyspiga_geo.data.transforms.occluders import OCCLUDERS
from pyspiga_geo.training.config import OCCLUDERS as NAMES

SIZE = 48
KINDS = tuple(OCCLUDERS)


def cropped_face() -> FaceData:
    """A crop with a landmark on every pixel, whose box is 24 x 32 pixels in the middle; no pixel is black or even."""
    steps = torch.arange(SIZE, dtype=torch.float32)
    pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    return FaceData(
        image=0.1 + 0.8 * torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)),
        pos=pixels.view(-1, 2) / SIZE,
        mask=torch.ones(SIZE**2, dtype=torch.bool),
        bbox=torch.tensor([12.0, 8.0, 24.0, 32.0]),
        crop=torch.eye(3),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_are_the_pixels_that_changed(kind: str) -> None:
    shares = []
    for _ in range(25):
        before, face = cropped_face(), RandomOcclusion(SIZE, (0.2, 0.5), kinds=(kind,))(cropped_face())
        changed = (face.image != before.image).any(dim=0)
        assert torch.equal(changed.flatten(), face.visible == 0)
        assert set(face.visible.tolist()) == {0.0, 1.0}
        assert torch.equal(face.pos, before.pos)
        assert torch.equal(face.mask, before.mask)
        assert face.image.min() >= 0
        assert face.image.max() <= 1
        shares.append(changed.view(SIZE, SIZE)[8:40, 12:36].float().mean().item())
    assert min(shares) > 0.02
    assert len(set(shares)) > 10
    assert max(shares) < (0.9 if kind == "border" else 0.35)


def test_nothing_is_told_where_it_is_blurred_and_all_is_black_beyond_a_border() -> None:
    for _ in range(10):
        blurred = RandomOcclusion(SIZE, (0.4, 0.5), kinds=("blur",))(cropped_face())
        hidden = (blurred.visible == 0).view(SIZE, SIZE)
        assert blurred.image[:, hidden].std() < 0.2 * blurred.image[:, ~hidden].std()
        face = RandomOcclusion(SIZE, (0.4, 0.5), kinds=("border",))(cropped_face())
        hidden = (face.visible == 0).view(SIZE, SIZE)
        assert (face.image[:, hidden] == 0).all()
        assert hidden[[0, 0, -1, -1], [0, -1, 0, -1]].any()  # a corner of the crop is beyond it
        assert not hidden[24, 24]


@pytest.mark.parametrize("kinds", [KINDS, *((kind,) for kind in KINDS)])
def test_the_seed_tells_everything(kinds: tuple[str, ...]) -> None:
    change = RandomOcclusion(SIZE, kinds=kinds)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(change(cropped_face()))
    assert torch.equal(drawn[0].image, drawn[1].image)
    assert torch.equal(drawn[0].visible, drawn[1].visible)
    assert not torch.equal(drawn[0].image, drawn[2].image)


def test_all_kinds_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name, make in OCCLUDERS.items():
        monkeypatch.setitem(OCCLUDERS, name, lambda *given, name=name, make=make: drawn.append(name) or make(*given))
    change = RandomOcclusion(SIZE, kinds=KINDS)
    for _ in range(60):
        change(cropped_face())
    assert set(drawn) == set(KINDS)


@pytest.mark.parametrize("kinds", [(), ("rectangle", "cat")])
def test_unknown_kinds_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="kinds must be one or more of rectangle, hand, blur, border, got"):
        RandomOcclusion(SIZE, kinds=kinds)


def test_configurations_know_the_same_kinds() -> None:
    assert NAMES == KINDS
