"""From a photo to a crop: the affine map is composed first, the picture is sampled once at the end.

Rotations and mirroring are about the centre of the crop, pixel index r / 2 (:mod:`pyspiga_geo.geometry.crops`): a box
in the middle stays there.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import select

from pyspiga_geo.geometry import rms_deviation, square_crop, transform_covariance, transform_points, warp_image
from pyspiga_geo.graph import FaceData
from pyspiga_geo.graph.face_data import POSITIONS
from pyspiga_geo.layouts import Layout


class SquareCrop(BaseTransform):
    """Place a square crop around the face's box: sets ``crop`` [3, 3], photo pixels to crop pixels.

    Args:
        resolution: side of the crop in pixels.
        scale: side of the crop over the longer side of the box.

    Raises:
        ValueError: when applied, if the box is not finite or has no size.

    Example:
        >>> face = FaceData(pos=torch.zeros(68, 2), bbox=torch.tensor([10.0, 20, 40, 40]))
        >>> SquareCrop(64)(face).crop.tolist()
        [[1.0, 0.0, 2.0], [0.0, 1.0, -8.0], [0.0, 0.0, 1.0]]
    """

    def __init__(self, resolution: int, scale: float = 1.6) -> None:
        self.resolution = resolution
        self.scale = scale

    def forward(self, data: FaceData) -> FaceData:
        """Set ``crop``.

        Args:
            data: a face with ``bbox``.

        Returns:
            The same object.
        """
        data.crop = square_crop(data.bbox, self.resolution, self.scale)
        return data


class RandomAffine(BaseTransform):
    """Stretch, rotate, scale and shift the crop at random, uniformly in the ranges; follows :class:`SquareCrop`.

    Args:
        resolution: side of the crop in pixels.
        degrees: largest rotation in either direction, about the crop's centre.
        scale: largest relative change of size in either direction.
        shift: largest shift in either direction along x and y, as a fraction of the crop.
        stretch: largest relative change of the ratio of width to height, before the rotation; the area stays the same.

    Raises:
        ValueError: when applied, if the face has no ``crop``.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> face = FaceData(pos=torch.zeros(68, 2), crop=torch.eye(3))
        >>> RandomAffine(64, degrees=0, scale=0, shift=0.05)(face).crop.round().tolist()
        [[1.0, 0.0, -3.0], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]]
    """

    def __init__(
        self, resolution: int, degrees: float = 45, scale: float = 0.15, shift: float = 0.05, stretch: float = 0.0
    ) -> None:
        self.resolution = resolution
        self.degrees = degrees
        self.scale = scale
        self.shift = shift
        self.stretch = stretch

    def forward(self, data: FaceData) -> FaceData:
        """Compose ``crop`` with a random affine map.

        Args:
            data: a face with ``crop``.

        Returns:
            The same object.
        """
        crop = _crop(self, data)
        turn, grow, right, down = (2 * torch.rand(4) - 1).tolist()
        angle, zoom = math.radians(turn * self.degrees), 1 + grow * self.scale
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        centre = self.resolution / 2
        x = centre + right * self.shift * self.resolution
        y = centre + down * self.shift * self.resolution
        wide = math.sqrt(1 + (2 * torch.rand(()).item() - 1) * self.stretch) if self.stretch else 1.0
        xx, xy, yx, yy = wide * cos, -sin / wide, wide * sin, cos / wide
        matrix = crop.new_tensor([[xx, xy, x - centre * (xx + xy)], [yx, yy, y - centre * (yx + yy)], [0, 0, 1]])
        data.crop = matrix @ crop
        return data


class RandomFlip(BaseTransform):
    """Mirror the crop with probability p; left landmarks become right ones. Goes between the crop and resampling.

    The rows of all node fields are exchanged: ``pos``, ``mask``, ``visible``, and your own, that is all fields with L
    rows that are not graph fields of :class:`~pyspiga_geo.graph.FaceData`. Edges stay with their landmarks:
    ``edge_index``, and other fields of node numbers, get the new ones. Positions are mirrored with the picture, by
    :class:`Resample`.

    Args:
        resolution: side of the crop in pixels.
        layout: whose mirror order to use.
        p: probability.

    Raises:
        ValueError: if the layout has no mirror order; when applied, if the face has no ``crop``, another number of
            landmarks than the layout, or a sparse adjacency matrix.

    Example:
        >>> from pyspiga_geo import get_layout
        >>> flip = RandomFlip(64, get_layout("ibug68"), p=1)
        >>> face = FaceData(pos=torch.zeros(68, 2), x=torch.arange(68), crop=torch.eye(3))
        >>> flip(face).x[:3]
        tensor([16, 15, 14])
    """

    def __init__(self, resolution: int, layout: Layout, p: float = 0.5) -> None:
        if layout.flip is None:
            raise ValueError(f"layout {layout.name!r} has no mirror order (flip), which RandomFlip needs")
        self.resolution = resolution
        self.order = torch.tensor(layout.flip)
        self.p = p

    def forward(self, data: FaceData) -> FaceData:
        """Compose ``crop`` with the mirror and exchange landmarks in the fields of nodes and edges.

        Args:
            data: a face with ``crop``.

        Returns:
            The same object.
        """
        crop = _crop(self, data)
        if torch.rand(()) < self.p:
            mirror = crop.new_tensor([[-1, 0, self.resolution], [0, 1, 0], [0, 0, 1]])
            data.crop = mirror @ crop
            self._exchange(data)
        return data

    def _exchange(self, data: FaceData) -> None:
        count = len(self.order)
        if data.num_nodes != count:
            raise ValueError(f"RandomFlip is for {count} landmarks, but the face has {data.num_nodes}")
        nodes = set(data.node_attrs())  # asked once, before anything changes
        for key, value in data.to_dict().items():
            dim = data.__cat_dim__(key, value)
            if isinstance(dim, tuple):
                raise ValueError(f"RandomFlip takes edges as edge_index, not as the sparse matrix {key!r}")
            if key in nodes:
                value = _rows(value, self.order, dim)
            # PyG's rule for numbers of nodes. The order undoes itself, so it also takes old numbers to new ones.
            if isinstance(value, Tensor) and ("index" in key or key == "face"):
                value = self.order.to(value.device)[value]
            data[key] = value


def _rows(value: Any, order: Tensor, dim: int) -> Any:
    """The entries of a node field, of any type that PyG allows, in another order."""
    if isinstance(value, np.ndarray):
        return value.take(order.numpy(), axis=dim)
    if isinstance(value, Tensor):
        return value.index_select(dim, order.to(value.device))
    return select(value, order, dim=0)


class Resample(BaseTransform):
    """Sample the crop: ``image`` becomes [3, r, r], and positions become normalised crop coordinates (pixel index / r).

    Positions are ``pos`` and, if present, ``initial`` and ``steps``; ``covariance`` and ``sigma`` are transformed too.
    Landmarks whose ``pos`` is outside the crop are masked. ``bbox``, ``pose`` and ``camera`` remain those of the photo.

    Args:
        resolution: r, side of the crop in pixels.

    Raises:
        ValueError: when applied, if the face has no ``crop``.

    Example:
        >>> face = FaceData(
        ...     image=torch.rand(3, 90, 90), pos=torch.tensor([[30.0, 40]]), bbox=torch.tensor([10.0, 20, 40, 40])
        ... )
        >>> face = Resample(64)(SquareCrop(64)(face))
        >>> face.image.shape, face.pos.tolist()
        (torch.Size([3, 64, 64]), [[0.5, 0.5]])
    """

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution

    def forward(self, data: FaceData) -> FaceData:
        """Sample the picture and move the landmarks with it.

        Args:
            data: a face with ``image``, ``pos`` and ``crop``.

        Returns:
            The same object.
        """
        crop = _crop(self, data)
        data.image = warp_image(data.image, crop, self.resolution)
        for key in POSITIONS:
            if key in data:
                data[key] = transform_points(data[key], crop) / self.resolution
        if "covariance" in data:
            data.covariance = transform_covariance(data.covariance, crop) / self.resolution**2
            data.sigma = rms_deviation(data.covariance)
        inside = ((data.pos >= 0) & (data.pos < 1)).all(dim=1)
        data.mask = data.mask & inside if "mask" in data else inside
        return data


def _crop(transform: BaseTransform, data: FaceData) -> Tensor:
    """The affine map from photo to crop, which a face must have."""
    if "crop" not in data:
        raise ValueError(f"{type(transform).__name__} goes after SquareCrop: the face has no field 'crop'")
    return data.crop
