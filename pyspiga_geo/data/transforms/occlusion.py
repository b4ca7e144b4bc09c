"""Something stands before the face."""

import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform

from pyspiga_geo.geometry import transform_points
from pyspiga_geo.graph import FaceData


class RandomOcclusion(BaseTransform):
    """Hide a rectangle of the face behind a random colour with probability p; goes after :class:`Resample`.

    The sides of the rectangle are drawn as shares of those of the face's box, then its place within the box. The box
    is upright in the crop, around the corners of ``bbox`` where ``crop`` has taken them.

    Landmarks under the rectangle get ``visible`` 0 and keep ``pos`` and ``mask``: where they are is known, so a model
    shall learn to tell it from the rest of the face. A face without ``visible`` counts as all visible before.

    Args:
        resolution: side of the crop in pixels.
        size: smallest and largest side of the rectangle over that of the box.
        p: probability.

    Raises:
        ValueError: for sizes that are not within 0..1 in ascending order; when applied, for another picture than
            a crop of that resolution.
    """

    def __init__(self, resolution: int, size: tuple[float, float] = (0.1, 0.4), p: float = 1.0) -> None:
        if not 0 <= size[0] <= size[1] <= 1:
            raise ValueError(f"size must be two shares of the box, 0 <= smallest <= largest <= 1, got {size}")
        self.resolution = resolution
        self.size = size
        self.p = p

    def forward(self, data: FaceData) -> FaceData:
        """Paint over ``image`` and change ``visible``."""
        height, width = data.image.shape[-2:]
        if (height, width) != (self.resolution, self.resolution):
            raise ValueError(
                f"RandomOcclusion({self.resolution}) goes after Resample({self.resolution}): "
                f"the picture has {width} x {height} pixels"
            )
        if "visible" not in data:
            data.visible = data.pos.new_ones(len(data.pos))
        if torch.rand(()) < self.p:
            low, high = _upright_box(data.bbox, data.crop)
            smallest, largest = self.size
            sides = (smallest + (largest - smallest) * torch.rand(2)) * (high - low)
            start = low + torch.rand(2) * (high - low - sides)
            colour = torch.rand(3, 1, 1).to(data.image)
            steps = torch.arange(self.resolution)
            pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
            data.image = torch.where(_within(pixels, start, sides), colour, data.image)
            hidden = _within(self.resolution * data.pos, start, sides)
            data.visible = data.visible.masked_fill(hidden, 0)
        return data


def _upright_box(bbox: Tensor, crop: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner [2] in crop pixels of the box x, y, w, h in photo pixels."""
    x, y, w, h = bbox
    corners = torch.stack([x, y, x + w, y, x, y + h, x + w, y + h]).view(4, 2)
    moved = transform_points(corners, crop)
    return moved.amin(dim=0), moved.amax(dim=0)


def _within(points: Tensor, start: Tensor, sides: Tensor) -> Tensor:
    """Which points [..., 2] lie in the rectangle."""
    return ((points >= start) & (points < start + sides)).all(dim=-1)
