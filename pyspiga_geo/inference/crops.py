"""Faces of photos as crops for a model, and the model's output in pixels of the photos."""

from collections.abc import Sequence
from typing import NamedTuple

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


class FaceCrops(NamedTuple):
    """The N faces of one photo, as crops."""

    images: Tensor
    """[N, Z, 3, S, S], float RGB in 0..1: each face in Z sizes."""
    matrix: Tensor
    """[N, 3, 3], photo pixels to pixels of a crop of the middle size."""
    boxes: FaceBoxes


def cut_faces(
    image: Tensor, boxes: FaceBoxes, size: int, scale: float, zooms: Sequence[float] = PLAIN.zooms
) -> FaceCrops:
    """Crop the faces of a photo [3, H, W], each rotated upright, ``scale`` x its box wide, to size x size pixels."""
    with torch.autocast("cpu", enabled=False):  # which a caller may have on for the model
        matrix = square_crop(boxes.box, size, scale, boxes.turn)
        zoomed = [square_crop(boxes.box, size, zoom * scale, boxes.turn) for zoom in zooms]
        images = [warp_image(image, each, size) for face in zip(*zoomed, strict=True) for each in face]
    cut = torch.stack(images) if images else image.new_zeros(0, 3, size, size)
    return FaceCrops(cut.unflatten(0, (-1, len(zooms))), matrix, boxes)


def align_crops(
    model: SPIGA | OnnxModel,
    crops: Sequence[FaceCrops],
    batch_size: int,
    attention: bool,
    device: torch.device,
    views: Views = PLAIN,
) -> list[list[FaceData]]:
    """Run the model on the faces of several photos; returns the faces of each photo, in its pixels, on the CPU."""
    images = torch.cat([each.images for each in crops])
    faces: list[FaceData] = []
    with torch.no_grad():
        for batch in images.split(batch_size) if len(images) else ():
            found = views.run(model, batch.to(device), attention)
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
