"""Random occlusion of the face."""

from collections.abc import Sequence

import torch
from torch_geometric.transforms import BaseTransform

from pyspiga_geo.data.transforms.occluders import OCCLUDERS
from pyspiga_geo.geometry import transform_points
from pyspiga_geo.graph import FaceData


class RandomOcclusion(BaseTransform):
    """Hide a part of the face with probability p; follows :class:`Resample`.

    One of these kinds of occluders is chosen at random for each face:

    - ``"rectangle"``: an upright rectangle of a random colour.
    - ``"hand"``: a smooth, irregular shape of a skin colour or any other, with noise on it.
    - ``"blur"``: such a shape in which the picture is blurred beyond recognition.
    - ``"border"``: black from a side or a corner of the crop, as beyond the edge of the photo.

    The sides are drawn as fractions of those of the face's box, then the position within the box; for a border, how far
    it reaches into the box. The box is upright in the crop, around the corners of ``bbox`` after ``crop`` is applied.

    Hidden landmarks get ``visible`` 0 and keep ``pos`` and ``mask``: their positions are known, so a model should learn
    to infer them from the rest of the face. A face without ``visible`` counts as fully visible before.

    Args:
        resolution: side of the crop in pixels.
        size: smallest and largest side of the occluder over that of the box.
        p: probability.
        kinds: names of the occluders to choose from, all equally likely.

    Raises:
        ValueError: if sizes are not within 0..1 in ascending order, or there is no kind or an unknown one;
            when applied, if the picture is not a crop of that resolution.

    Example:
        >>> pos = torch.rand(68, 2)
        >>> face = FaceData(
        ...     image=torch.rand(3, 64, 64), pos=pos, bbox=torch.tensor([0.0, 0, 64, 64]), crop=torch.eye(3)
        ... )
        >>> face = RandomOcclusion(64, size=(1, 1))(face)  # as large as the box
        >>> face.visible.sum(), face.image.flatten(1).unique(dim=1).shape  # one colour
        (tensor(0.), torch.Size([3, 1]))
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
        """Paint over ``image`` and update ``visible``.

        Args:
            data: a face with ``image``, ``pos``, ``bbox`` and ``crop``.

        Returns:
            The same object.

        Raises:
            ValueError: if the picture is not a crop of that resolution.
        """
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
