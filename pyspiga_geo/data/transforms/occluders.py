"""Occluders of a face: an exact region of the plane for each, and the picture that covers it.

Each function takes a crop [3, r, r] and the lowest and highest corner [2] of the face's box in crop pixels, and returns
a function that says which points [..., 2] are hidden, and the picture [3, r, r] that is seen there.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Region = Callable[[Tensor], Tensor]
"""Crop pixels [..., 2] -> bool [...]: which of them are hidden."""

Size = tuple[float, float]
"""Smallest and largest side of an occluder over that of the face's box."""

BLUR_CELLS = 6
"""A blurred crop keeps the mean colours of this many cells along its side, each about a quarter of a face."""

TILT = math.radians(20)
"""Largest angle between a black border and the side of the crop."""


def rectangle(image: Tensor, low: Tensor, high: Tensor, size: Size) -> tuple[Region, Tensor]:
    """An upright rectangle within the box, of one random colour."""
    start, sides = _place(low, high, size)
    return lambda points: within(points, start, sides), torch.rand(3, 1, 1).to(image)


def hand(image: Tensor, low: Tensor, high: Tensor, size: Size) -> tuple[Region, Tensor]:
    """A smooth, irregular shape of a skin colour or any other, with coarse and fine noise on it."""
    region = _blob(*_place(low, high, size))
    light, hue, any_colour = torch.rand(3).tolist()
    skin = (0.25 + 0.7 * light) * torch.tensor([1.0, 0.62 + 0.2 * hue, 0.45 + 0.3 * hue])
    colour = (torch.rand(3) if any_colour < 0.3 else skin)[:, None, None]
    coarse = F.interpolate(torch.randn(1, 3, 6, 6), image.shape[-2:], mode="bilinear")[0]
    noise = torch.rand(()) * 0.15 * coarse + torch.rand(()) * 0.08 * torch.randn(image.shape)
    return region, (colour + noise).clamp(0, 1).to(image)


def blur(image: Tensor, low: Tensor, high: Tensor, size: Size) -> tuple[Region, Tensor]:
    """A smooth, irregular region blurred until only its mean colours can be recognised."""
    region = _blob(*_place(low, high, size))
    cells = F.adaptive_avg_pool2d(image[None], BLUR_CELLS)
    return region, F.interpolate(cells, image.shape[-2:], mode="bilinear")[0]


def border(image: Tensor, low: Tensor, high: Tensor, size: Size) -> tuple[Region, Tensor]:
    """Black from a side or a corner of the crop into the face, as at the edge of a photo; possibly slightly tilted."""
    side, tilt, corner, *shares = torch.rand(5).tolist()
    angle = math.floor(4 * side) * math.pi / 2 + (2 * tilt - 1) * TILT
    angles = [angle, angle + math.pi / 2] if corner < 0.3 else [angle]
    directions = torch.tensor([[math.cos(each), math.sin(each)] for each in angles]).to(low)  # [1 or 2, 2]
    reach = torch.cartesian_prod(*torch.stack([low, high], dim=1)) @ directions.mT  # of the corners [4, 1 or 2]
    first, last = reach.amin(dim=0), reach.amax(dim=0)
    hidden = size[0] + (size[1] - size[0]) * torch.tensor(shares[: len(angles)]).to(low)
    edge = last - hidden * (last - first)
    return lambda points: (points @ directions.mT >= edge).any(dim=-1), image.new_zeros(3, 1, 1)


OCCLUDERS: dict[str, Callable[[Tensor, Tensor, Tensor, Size], tuple[Region, Tensor]]] = {
    "rectangle": rectangle,
    "hand": hand,
    "blur": blur,
    "border": border,
}
"""The occluders by name."""


def within(points: Tensor, start: Tensor, sides: Tensor) -> Tensor:
    """Which points [..., 2] lie in the upright rectangle."""
    return ((points >= start) & (points < start + sides)).all(dim=-1)


def _place(low: Tensor, high: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """First corner and sides [2] of a rectangle within the box: sides as fractions of those of the box, then a
    position.
    """
    smallest, largest = size
    sides = (smallest + (largest - smallest) * torch.rand(2)) * (high - low)
    return low + torch.rand(2) * (high - low - sides), sides


def _blob(start: Tensor, sides: Tensor) -> Region:
    """Roughly the ellipse in a rectangle, its outline bent by waves of up to a tenth of the radius each."""
    waves, phases = 0.1 * torch.rand(3), 2 * math.pi * torch.rand(3)
    orders = torch.arange(2, 5)

    def region(points: Tensor) -> Tensor:
        x, y = ((points - start - sides / 2) / (sides / 2)).unbind(dim=-1)
        bent = waves * torch.cos(orders * torch.atan2(y, x)[..., None] + phases)
        return torch.hypot(x, y) < 1 + bent.sum(dim=-1)

    return region
