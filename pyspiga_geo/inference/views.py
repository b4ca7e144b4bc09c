"""Several views of a face, and the average of what a model finds in them."""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from pyspiga_geo.inference.onnx_model import OnnxModel
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA, SPIGAOutput
from pyspiga_geo.models.checkpoint import PRETRAINED

VIEWS: dict[int, tuple[tuple[float, bool], ...]] = {
    1: ((1.0, False),),
    2: ((0.94, False), (1.06, True)),
    4: ((0.94, False), (0.94, True), (1.06, False), (1.06, True)),
}
"""The views by their number: side of the crop over that of the middle one, and whether it is mirrored."""


def default_views(model: object) -> int:
    """How many views a model has by default, as an aligner is given it: 2 for a shipped one by its name, else 1."""
    return 2 if isinstance(model, str) and model in PRETRAINED else 1


class Views(NamedTuple):
    """The views that a face is seen in."""

    each: tuple[tuple[float, bool], ...] = VIEWS[1]
    """Zoom, that is the side of the crop over that of the middle one, and whether the crop is mirrored."""

    @classmethod
    def of(cls, count: int, layout: Layout) -> Self:
        """Make the views for a number of them, 1, 2 or 4.

        Raises:
            ValueError: for another number, or if mirror images are needed and the layout has no mirror order.
        """
        if count not in VIEWS:
            raise ValueError(f"views must be one of {', '.join(map(str, VIEWS))}, got {count!r}")
        if count > 1 and layout.flip is None:
            raise ValueError(
                f"views={count} needs mirror images, and layout {layout.name!r} has no mirror order (flip)"
            )
        return cls(VIEWS[count])

    @property
    def zooms(self) -> list[float]:
        """The zooms, each once."""
        return sorted({zoom for zoom, _ in self.each})

    def run(self, model: SPIGA | OnnxModel, images: Tensor, attention: bool = False) -> SPIGAOutput:
        """Mean of the model's output over all views.

        Args:
            model: the model.
            images: [N, Z, 3, S, S], the crops of each face with the Z zooms; mirror images are made here.
            attention: also return the attention.

        Returns:
            The output for N crops of the middle size. Those parts that are maps or features, and the pose, are of the
            first view.
        """
        zooms = self.zooms
        first, *others = [
            _in_the_middle(self._look(model, images[:, zooms.index(zoom)], mirrored, attention), zoom)
            for zoom, mirrored in self.each
        ]
        return _mean([first, *others]) if others else first

    def _look(self, model: SPIGA | OnnxModel, images: Tensor, mirrored: bool, attention: bool) -> SPIGAOutput:
        """What the model finds in one view, if that is mirrored as the face itself has it."""
        out: SPIGAOutput = model(images.flip(-1) if mirrored else images, return_attention=attention)
        return _unmirrored(out, model.layout, images.size(-1)) if mirrored else out


PLAIN = Views()
"""The crop alone."""


def _in_the_middle(out: SPIGAOutput, zoom: float) -> SPIGAOutput:
    """What was found in a crop that is ``zoom`` times as wide as the middle one, for the middle one."""
    if zoom == 1:
        return out

    def moved(pos: Tensor) -> Tensor:
        return (pos - 0.5) * zoom + 0.5

    return out._replace(
        landmarks=moved(out.landmarks),
        steps=[moved(step) for step in out.steps],
        initial=moved(out.initial),
        covariance=None if out.covariance is None else zoom**2 * out.covariance,
    )


def _unmirrored(out: SPIGAOutput, layout: Layout, size: int) -> SPIGAOutput:
    """What was found in the mirror image of a crop, for the crop."""
    rows = torch.as_tensor(layout.flip, device=out.landmarks.device)
    signs = out.landmarks.new_tensor([[1, -1], [-1, 1]])

    def turned(pos: Tensor) -> Tensor:
        x, y = pos[:, rows].unbind(dim=-1)
        return torch.stack([(size - 1) / size - x, y], dim=-1)

    return out._replace(
        landmarks=turned(out.landmarks),
        steps=[turned(step) for step in out.steps],
        initial=turned(out.initial),
        attention=out.attention and [each[:, :, rows][..., rows] for each in out.attention],
        covariance=None if out.covariance is None else signs * out.covariance[:, rows],
        visible=None if out.visible is None else out.visible[:, rows],
    )


def _mean(found: list[SPIGAOutput]) -> SPIGAOutput:
    first = found[0]
    means: dict[str, Any] = {
        name: torch.stack([getattr(out, name) for out in found]).mean(dim=0)
        for name in ("landmarks", "initial", "covariance", "visible")
        if getattr(first, name) is not None
    }
    means |= {
        name: [torch.stack(each).mean(dim=0) for each in zip(*(getattr(out, name) for out in found), strict=True)]
        for name in ("steps", "attention")
        if getattr(first, name) is not None
    }
    return first._replace(**means)
