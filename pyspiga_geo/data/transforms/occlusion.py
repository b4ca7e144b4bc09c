"""Something stands before the face."""

from collections.abc import Sequence

import torch
from torch_geometric.transforms import BaseTransform

from pyspiga_geo.data.transforms.occluders import OCCLUDERS
from pyspiga_geo.geometry import transform_points
from pyspiga_geo.graph import FaceData


class RandomOcclusion(BaseTransform):
    """Hide a part of the face with probability p; goes after :class:`Resample`.

    The kinds of occluders, one of which is drawn for each face:

    - ``"rectangle"``: an upright rectangle of a random colour.
    - ``"hand"``: a smooth, irregular shape of a skin colour or any other, with noise on it.
    - ``"blur"``: such a shape in which the picture is blurred until nothing can be told.
    - ``"border"``: black from a side or a corner of the crop on, as beyond the edge of the photo.

    The sides are drawn as shares of those of the face's box, then the place within the box; of a border, how far it
    reaches into the box. The box is upright in the crop, around the corners of ``bbox`` where ``crop`` has taken them.

    Hidden landmarks get ``visible`` 0 and keep ``pos`` and ``mask``: where they are is known, so a model shall learn to
    tell it from the rest of the face. A face without ``visible`` counts as all visible before.

    Args:
        resolution: side of the crop in pixels.
        size: smallest and largest side of the occluder over that of the box.
        p: probability.
        kinds: names of the occluders to draw from, each as likely as the others.

    Raises:
        ValueError: for sizes that are not within 0..1 in ascending order, and for no kind or one that is not known;
            when applied, for another picture than a crop of that resolution.
    """

    def __init__(
        self,
        resolution: int,
        size: tuple[float, float] = (0.1, 0.4),
        p: float = 1.0,
        kinds: Sequence[str] = ("rectangle",),
    ) -> None:
        if not 0 <= size[0] <= size[1] <= 1:
            raise ValueError(f"size must be two shares of the box, 0 <= smallest <= largest <= 1, got {size}")
        if not kinds or not set(kinds) <= set(OCCLUDERS):
            raise ValueError(f"kinds must be one or more of {', '.join(OCCLUDERS)}, got {kinds}")
        self.resolution = resolution
        self.size = size
        self.p = p
        self.kinds = tuple(kinds)

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
            # Nothing is drawn where there is but one kind.
            kind = self.kinds[int(torch.randint(len(self.kinds), ()))] if len(self.kinds) > 1 else self.kinds[0]
            x, y, w, h = data.bbox
            corners = transform_points(torch.stack([x, y, x + w, y, x, y + h, x + w, y + h]).view(4, 2), data.crop)
            hides, paint = OCCLUDERS[kind](data.image, corners.amin(dim=0), corners.amax(dim=0), self.size)
            steps = torch.arange(self.resolution)
            pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).to(data.pos)
            data.image = torch.where(hides(pixels), paint, data.image)
            data.visible = data.visible.masked_fill(hides(self.resolution * data.pos), 0)
        return data
