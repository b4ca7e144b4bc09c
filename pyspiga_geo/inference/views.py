"""Several views of a face, and the average of what a model finds in them."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from pyspiga_geo.geometry import invert_transform, points_to_box, square_crop
from pyspiga_geo.inference.onnx_model import OnnxModel
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA, SPIGAOutput
from pyspiga_geo.models.checkpoint import PRETRAINED


class View(NamedTuple):
    """How a model is shown a face once."""

    zoom: float = 1.0
    """Side of the crop over that of the usual one, which is the model's ``crop_scale`` x the longer side of the box."""
    mirrored: bool = False


VIEWS: dict[int, tuple[View, ...]] = {
    1: (View(),),
    2: (View(0.94), View(1.06, mirrored=True)),
    4: (View(0.94), View(0.94, mirrored=True), View(1.06), View(1.06, mirrored=True)),
}
"""The views by their number. Their mean zoom is 1, that of the crops for which the covariances are calibrated."""

_SMALLEST = 0.5
"""Side of the smallest box in which a face is looked at again, over the longer side of the box that was given."""


def default_views(model: object) -> int:
    """How many views a model has by default, as an aligner is given it: 2 for a shipped one by its name, else 1."""
    return 2 if isinstance(model, str) and model in PRETRAINED else 1


class Views(NamedTuple):
    """The views of each face: the first in the given box, the others in that of the landmarks which the first found.

    So a box that is a little off is corrected, and only the first view depends on it.
    """

    first: View = View()
    others: tuple[View, ...] = ()

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
        first, *others = VIEWS[count]
        return cls(first, tuple(others))

    def reach(self, scale: float) -> float:
        """Side of the square about the usual crop's centre that the other views stay inside, in sides of that crop.

        Args:
            scale: side of the usual crop over the longer side of its box.
        """
        # The widest box is as wide as the usual crop; the smallest may have its centre on the crop's border.
        return max((max(scale * zoom, 1 + _SMALLEST * zoom) for zoom, _ in self.others), default=0.0)

    def run(
        self, model: SPIGA | OnnxModel, images: Tensor, cut: Callable[[Tensor], Tensor], attention: bool = False
    ) -> SPIGAOutput:
        """Mean of the model's output over all views.

        Args:
            model: the model.
            images: [N, 3, S, S], the crops of the first view; mirror images are made here.
            cut: makes crops [N, 3, S, S] of the same faces for maps [N, 3, 3] from their usual crops to the new ones,
                both in normalised coordinates.
            attention: also return the attention.

        Returns:
            The output for the N usual crops. Those parts that are maps or features, and the pose, are of the first
            view.
        """
        whole = square_crop(torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64), 1, self.first.zoom)
        first = _in_usual_crop(_look(model, images, self.first.mirrored, attention), whole)
        if not self.others:
            return first
        scale, found = model.config.crop_scale, [first]
        box = _square_around(first.landmarks.cpu().double(), _SMALLEST / scale)
        maps = {zoom: square_crop(box, 1, scale * zoom) for zoom, _ in self.others}
        crops = {zoom: cut(to_crop).to(images) for zoom, to_crop in maps.items()}
        for zoom, mirrored in self.others:
            found.append(_in_usual_crop(_look(model, crops[zoom], mirrored, attention), maps[zoom]))
        return _mean(found)


PLAIN = Views()
"""The usual crop alone."""


def _look(model: SPIGA | OnnxModel, images: Tensor, mirrored: bool, attention: bool) -> SPIGAOutput:
    """What the model finds in crops, in their coordinates even if it is shown their mirror images."""
    out: SPIGAOutput = model(images.flip(-1) if mirrored else images, return_attention=attention)
    return _unmirrored(out, model.layout, images.size(-1)) if mirrored else out


def _square_around(landmarks: Tensor, smallest: float) -> Tensor:
    """Square boxes [N, 4] around landmarks [N, L, 2] in normalised crop coordinates, which are kept inside the crop."""
    box = points_to_box(landmarks.nan_to_num(0.5).clamp(0, 1))
    side = box[:, 2:].amax(dim=1, keepdim=True).clamp(min=smallest)
    return torch.cat([box[:, :2] + (box[:, 2:] - side) / 2, side, side], dim=1)


def _in_usual_crop(out: SPIGAOutput, to_crop: Tensor) -> SPIGAOutput:
    """What was found in crops, for the usual ones, which the maps [..., 3, 3] shift and scale into the former."""
    usual = invert_transform(to_crop)[..., None, :, :].to(out.landmarks.dtype).to(out.landmarks.device)
    zoom, shift = usual[..., :1, 0], usual[..., :2, 2]

    def moved(pos: Tensor) -> Tensor:
        return zoom * pos + shift

    return out._replace(
        landmarks=moved(out.landmarks),
        steps=[moved(step) for step in out.steps],
        initial=moved(out.initial),
        covariance=None if out.covariance is None else zoom[..., None] ** 2 * out.covariance,
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
