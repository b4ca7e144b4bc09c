"""Faces of photos as crops for a model, and the model's output in pixels of the photos."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor

from pyspiga_geo.geometry import (
    euler_to_rotation,
    invert_transform,
    rms_deviation,
    rotation_to_euler,
    square_crop,
    transform_covariance,
    transform_points,
    warp_image,
)
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.boxes import FaceBoxes
from pyspiga_geo.inference.onnx_model import OnnxModel
from pyspiga_geo.inference.views import PLAIN, Views
from pyspiga_geo.models import SPIGA, PosedShape
from pyspiga_geo.models.head_pose import fitted_poses

_MARGIN = 8
"""More pixels than the filters of :func:`warp_image` read beyond a crop, in pixels of that crop."""


class Surroundings(NamedTuple):
    """What a photo shows around a face, from which further crops are cut."""

    pixels: Tensor
    """[3, h, w], float RGB in 0..1."""
    corner: tuple[int, int]
    """x, y of the first pixel in the photo."""

    @classmethod
    def of(cls, image: Tensor, matrix: Tensor, size: int, reach: float) -> Self:
        """Copy of what is needed of a photo [3, H, W] around a crop, whose map [3, 3] leads to its pixels.

        Args:
            image: the photo.
            matrix: of the crop.
            size: side of the crop in its pixels.
            reach: side of the square about the crop's centre in which further crops may lie, in sides of the crop.
        """
        half = reach * (size / 2 + _MARGIN)
        corners = size / 2 + half * torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]], dtype=torch.float64)
        seen = transform_points(corners, invert_transform(matrix.double()))
        last = seen.new_tensor([image.size(2) - 1, image.size(1) - 1])
        inside = seen.clamp(min=0).minimum(last)  # at least one pixel, even if none is seen
        left, top = inside.amin(dim=0).floor().long().tolist()
        right, bottom = (1 + inside.amax(dim=0).ceil().long()).tolist()
        return cls(image[:, top:bottom, left:right].clone(), (left, top))

    def cut(self, matrix: Tensor, size: int) -> Tensor:
        """The crop [3, S, S] with a map [3, 3] from photo pixels to its pixels."""
        from_here = torch.eye(3, dtype=torch.float64)
        from_here[:2, 2] = torch.tensor(self.corner)
        return warp_image(self.pixels, matrix.double() @ from_here, size)


class FaceCrops(NamedTuple):
    """The N faces of one photo, as crops."""

    images: Tensor
    """[N, 3, S, S], float RGB in 0..1: the first view of each face."""
    matrix: Tensor
    """[N, 3, 3], photo pixels to pixels of the usual crop."""
    boxes: FaceBoxes
    around: list[Surroundings]
    """Of each face, for its other views; empty if there are none."""


def cut_faces(image: Tensor, boxes: FaceBoxes, size: int, scale: float, views: Views = PLAIN) -> FaceCrops:
    """Crop the faces of a photo [3, H, W], each rotated upright, ``scale`` x its box wide, to size x size pixels."""
    with torch.autocast("cpu", enabled=False):  # which a caller may have on for the model
        matrix = square_crop(boxes.box, size, scale, boxes.turn)
        zoomed = square_crop(boxes.box, size, views.first.zoom * scale, boxes.turn)
        images = [warp_image(image, each, size) for each in zoomed]
        reach = views.reach(scale)
        around = [Surroundings.of(image, each, size, reach) for each in matrix] if reach else []
    return FaceCrops(torch.stack(images) if images else image.new_zeros(0, 3, size, size), matrix, boxes, around)


def align_crops(
    model: SPIGA | OnnxModel,
    crops: Sequence[FaceCrops],
    batch_size: int,
    attention: bool,
    device: torch.device,
    views: Views = PLAIN,
) -> list[list[FaceData]]:
    """Run the model on the faces of several photos; returns the faces of each photo, in its pixels, on the CPU."""
    images, usual = (torch.cat([getattr(each, name) for each in crops]) for name in ("images", "matrix"))
    around = [face for each in crops for face in each.around]
    faces: list[FaceData] = []
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            cut = partial(_cut_again, around[batch], usual[batch], model.config.image_size)
            found = views.run(model, images[batch].to(device), cut, attention)
            estimated = None if found.pose is None else found.pose.cpu()  # some devices know no double precision
            with torch.autocast("cpu", enabled=False):
                pose = fitted_poses(estimated, found.landmarks.cpu(), model.layout, model.config.focal_ratio)
            faces += [face.cpu() for face in found._replace(pose=pose).to_data_list()]
    remaining = iter(faces)
    with torch.autocast("cpu", enabled=False):
        return [
            [
                _in_photo(next(remaining), model, matrix, FaceBoxes(*(part[index] for part in each.boxes)))
                for index, matrix in enumerate(each.matrix)
            ]
            for each in crops
        ]


def _cut_again(around: Sequence[Surroundings], matrix: Tensor, size: int, to_crop: Tensor) -> Tensor:
    """New crops [N, 3, S, S]; the maps [N, 3, 3] lead to them from the usual ones, in normalised coordinates."""
    enlarge = torch.diag(torch.tensor([size, size, 1], dtype=torch.float64))
    with torch.autocast("cpu", enabled=False):
        maps = enlarge @ to_crop @ invert_transform(enlarge) @ matrix.double()
        return torch.stack([face.cut(each, size) for face, each in zip(around, maps, strict=True)])


def _in_photo(face: FaceData, model: SPIGA | OnnxModel, crop: Tensor, found: FaceBoxes) -> FaceData:
    """Map a face from normalised crop coordinates to pixels of its photo."""
    size, scale, start = model.config.image_size, model.config.crop_scale, model.start
    to_photo = invert_transform(crop)
    for key in ("pos", "initial"):
        face[key] = transform_points(size * face[key].to(crop), to_photo)
    steps = transform_points(size * face.steps.to(crop).flatten(0, 1), to_photo)
    face.steps = steps.view_as(face.steps)
    if isinstance(model, SPIGA):  # an exported model has no cascade
        windows = crop.new_tensor(model.cascade.windows[: face.steps.size(1)])
        face.windows = size * to_photo[:2, :2].det().sqrt() * windows
    if "covariance" in face:
        face.covariance = transform_covariance(size**2 * face.covariance.to(crop), to_photo)
        face.sigma = rms_deviation(face.covariance)
    if isinstance(start, PosedShape):
        # The camera is not turned with the crop: the turn is part of the head's pose.
        upright = invert_transform(square_crop(found.box, size, scale))
        enlarge = torch.diag(crop.new_tensor([size / start.map_size, size / start.map_size, 1]))
        face.camera = upright @ enlarge @ start.camera.to(crop)
    if "pose" in face and found.turn:
        face.pose = _turned_pose(face.pose, found.turn)
    face.crop, face.bbox = crop, found.box
    if not found.score.isnan():
        face.score = found.score
    return face


def _turned_pose(pose: Tensor, turn: Tensor) -> Tensor:
    """A pose [6] turned clockwise about the camera's axis, by degrees."""
    angles, translation = pose.double().split(3)
    cos, sin = turn.double().deg2rad().cos(), turn.double().deg2rad().sin()
    about = torch.eye(3, dtype=torch.float64)
    about[:2, :2] = torch.stack([cos, -sin, sin, cos]).view(2, 2)
    return torch.cat([rotation_to_euler(about @ euler_to_rotation(angles)), about @ translation]).to(pose)
