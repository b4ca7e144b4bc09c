"""From a photo to a crop: the map is composed first, the picture is sampled once at the end."""

import math

import torch
from torch_geometric.transforms import BaseTransform

from pyspiga_geo.geometry import square_crop, transform_points, warp_image
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout


class SquareCrop(BaseTransform):
    """Aim a square crop at the face's box: sets ``crop`` [3, 3], photo pixels to crop pixels.

    Args:
        resolution: side of the crop in pixels.
        scale: side of the crop over the longer side of the box.
    """

    def __init__(self, resolution: int, scale: float = 1.6) -> None:
        self.resolution = resolution
        self.scale = scale

    def forward(self, data: FaceData) -> FaceData:
        """Set ``crop``."""
        data.crop = square_crop(data.bbox, self.resolution, self.scale)
        return data


class RandomAffine(BaseTransform):
    """Rotate, scale and shift the crop at random, uniformly within the ranges.

    Args:
        resolution: side of the crop in pixels.
        degrees: largest rotation either way, about the crop's centre.
        scale: largest relative change of size either way.
        shift: largest shift either way in x and in y, as a share of the crop.
    """

    def __init__(
        self, resolution: int, degrees: float = 45, scale: float = 0.15, shift: float = 0.05
    ) -> None:
        self.resolution = resolution
        self.degrees = degrees
        self.scale = scale
        self.shift = shift

    def forward(self, data: FaceData) -> FaceData:
        """Compose ``crop`` with a random affine map."""
        turn, grow, right, down = (2 * torch.rand(4) - 1).tolist()
        angle, zoom = math.radians(turn * self.degrees), 1 + grow * self.scale
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        centre = (self.resolution - 1) / 2
        x = centre + right * self.shift * self.resolution
        y = centre + down * self.shift * self.resolution
        matrix = data.crop.new_tensor(
            [
                [cos, -sin, x - centre * (cos - sin)],
                [sin, cos, y - centre * (sin + cos)],
                [0, 0, 1],
            ]
        )
        data.crop = matrix @ data.crop
        return data


class RandomFlip(BaseTransform):
    """Mirror the crop with probability p; left landmarks become right ones.

    Args:
        resolution: side of the crop in pixels.
        layout: tells the mirror order.
        p: probability.
    """

    def __init__(self, resolution: int, layout: Layout, p: float = 0.5) -> None:
        self.resolution = resolution
        self.order = torch.tensor(layout.flip)
        self.p = p

    def forward(self, data: FaceData) -> FaceData:
        """Compose ``crop`` with the mirror and exchange the rows of the node fields."""
        if torch.rand(()) < self.p:
            mirror = data.crop.new_tensor([[-1, 0, self.resolution - 1], [0, 1, 0], [0, 0, 1]])
            data.crop = mirror @ data.crop
            for key in ("pos", "mask", "visible"):
                data[key] = data[key][self.order]
        return data


class Resample(BaseTransform):
    """Cut the crop out: ``image`` becomes [3, r, r] and ``pos`` crop units (pixel index / r).

    Landmarks outside of the crop are masked. ``bbox``, ``pose`` and ``camera`` stay those of the photo.

    Args:
        resolution: r, side of the crop in pixels.
    """

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution

    def forward(self, data: FaceData) -> FaceData:
        """Sample the picture and move the landmarks along."""
        data.image = warp_image(data.image, data.crop, self.resolution)
        data.pos = transform_points(data.pos, data.crop) / self.resolution
        data.mask = data.mask & ((data.pos >= 0) & (data.pos < 1)).all(dim=1)
        return data
