"""Photos in, faces out: detect, crop, align, map back."""

import os

import torch
from torch import Tensor

from pyspiga_geo.geometry import (
    invert_transform,
    rms_deviation,
    square_crop,
    transform_covariance,
    transform_points,
    warp_image,
)
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.detector import Detector, detect_faces
from pyspiga_geo.inference.inputs import Boxes, BoxFormat, Photo, as_boxes, as_photo
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA, PosedShape


class FaceAligner:
    """Find landmarks and head pose of the faces in a photo.

    Args:
        model: ``"compact"``, which the package ships, a weights file, or a :class:`SPIGA`.
        detector: finds the faces when no boxes are given (:data:`Detector`).
        device: where the model runs.

    Example:
        >>> from skimage.data import astronaut
        >>> (face,) = FaceAligner()(astronaut())
        >>> face.pos.shape
        torch.Size([68, 2])
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SPIGA = "compact",
        detector: Detector = detect_faces,
        device: str | torch.device = "cpu",
    ) -> None:
        loaded = model if isinstance(model, SPIGA) else SPIGA.from_pretrained(os.fspath(model))
        self.device = torch.device(device)
        self.model = loaded.to(self.device).eval()
        self.detector = detector

    @property
    def layout(self) -> Layout:
        """The landmark set of the faces."""
        return self.model.layout

    @torch.no_grad()
    def __call__(
        self, photo: Photo, boxes: Boxes | None = None, attention: bool = False, *, box_format: BoxFormat = "xywh"
    ) -> list[FaceData]:
        """Align the faces of one photo.

        Args:
            photo: see :data:`~pyspiga_geo.inference.Photo`.
            boxes: [N, 4] in pixels, tight around the landmarks from brows to chin; scores in a fifth column are
                dropped (:data:`~pyspiga_geo.inference.Boxes`). No boxes give no faces. Default: those of the detector.
            attention: put the last layer's attention into ``edge_weight``.
            box_format: ``"xywh"``, left, top, width and height; or ``"xyxy"``, left, top, right and bottom.

        Returns:
            One graph a face, empty when there is none. In pixels of the photo: ``pos`` [L, 2], ``initial`` [L, 2],
            ``steps`` [L, K, 2], ``bbox`` [4] (the box that was cropped), and of a model that says how sure it is
            ``covariance`` [L, 2, 2], ``sigma`` [L] and ``visible`` [L] (:class:`~pyspiga_geo.graph.FaceData`).
            Also ``crop`` [3, 3] (photo pixels to crop pixels), ``edge_index``, on request ``edge_weight``, and where
            the model estimates them ``pose`` [6] (yaw, pitch, roll in degrees, translation in units of the rigid shape)
            and ``camera`` [3, 3] in photo pixels.

        Raises:
            pyspiga_geo.data.ImageError: when a file cannot be read.
            ValueError: for a photo of another shape or range of values, and a box without size or outside of it.
        """
        image = as_photo(photo)
        if boxes is not None:
            return self._align(image, as_boxes(boxes, image, box_format), attention)
        return self._align(image, as_boxes(self.detector(image), image), attention)

    def _align(self, image: Tensor, boxes: Tensor, attention: bool) -> list[FaceData]:
        if not len(boxes):
            return []
        config, start = self.model.config, self.model.start
        size = config.image_size
        crops = square_crop(boxes, size, config.crop_scale)
        images = torch.stack([warp_image(image, crop, size) for crop in crops])
        faces = self.model(images.to(self.device), return_attention=attention).to_data_list()
        for face, crop, box in zip(faces, crops, boxes, strict=True):
            to_photo = invert_transform(crop)
            for key in ("pos", "initial"):
                face[key] = transform_points(size * face[key].to(crop), to_photo)
            steps = transform_points(size * face.steps.to(crop).flatten(0, 1), to_photo)
            face.steps = steps.view_as(face.steps)
            if "covariance" in face:
                face.covariance = transform_covariance(size**2 * face.covariance.to(crop), to_photo)
                face.sigma = rms_deviation(face.covariance)
            if isinstance(start, PosedShape):
                enlarge = torch.diag(crop.new_tensor([size / start.map_size, size / start.map_size, 1]))
                face.camera = to_photo @ enlarge @ start.camera.to(crop)
            face.crop, face.bbox = crop, box
        return [face.cpu() for face in faces]
