"""Photos in, faces out: detect, crop, align, map back."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.util import img_as_float32
from torch import Tensor

from pyspiga_geo.data import read_image
from pyspiga_geo.geometry import invert_transform, square_crop, transform_points, warp_image
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.detector import Detector, detect_faces
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA, PosedShape

Photo = str | os.PathLike[str] | NDArray[np.generic] | Tensor
"""A file, an array [H, W] or [H, W, 3 or 4] as scikit-image reads it, or a tensor [3, H, W] float RGB in 0..1."""


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
        self, photo: Photo, boxes: Tensor | Sequence[Sequence[float]] | None = None, attention: bool = False
    ) -> list[FaceData]:
        """Align the faces of one photo.

        Args:
            photo: see :data:`Photo`.
            boxes: x, y, w, h [N, 4] in pixels, tight around the landmarks from brows to chin. Default: those
                of the detector.
            attention: put the last layer's attention into ``edge_weight``.

        Returns:
            One graph a face, empty when there is none. In pixels of the photo: ``pos`` [L, 2], ``initial`` [L, 2],
            ``steps`` [L, K, 2], ``bbox`` [4] (the box that was cropped). Also ``crop`` [3, 3] (photo pixels to crop
            pixels), ``edge_index``, on request ``edge_weight``, and where the model estimates them ``pose`` [6] (yaw,
            pitch, roll in degrees, translation in units of the rigid shape) and ``camera`` [3, 3] in photo pixels.

        Raises:
            pyspiga_geo.data.ImageError: when a file cannot be read.
            ValueError: for an array of a wrong shape, and a box without size or outside of the photo.
        """
        image = self._as_tensor(photo)
        if boxes is not None:
            given = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
            self._check_boxes(given, image)
            return self._align(image, given, attention)
        found = self.detector(image)
        return self._align(image, found, attention) if len(found) else []

    def _align(self, image: Tensor, boxes: Tensor, attention: bool) -> list[FaceData]:
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
            if isinstance(start, PosedShape):
                enlarge = torch.diag(crop.new_tensor([size / start.map_size, size / start.map_size, 1]))
                face.camera = to_photo @ enlarge @ start.camera.to(crop)
            face.crop, face.bbox = crop, box
        return [face.cpu() for face in faces]

    @staticmethod
    def _as_tensor(photo: Photo) -> Tensor:
        if isinstance(photo, np.ndarray):
            if photo.ndim not in (2, 3) or (photo.ndim == 3 and photo.shape[2] not in (3, 4)) or not photo.size:
                raise ValueError(f"a photo array must be [H, W], [H, W, 3] or [H, W, 4], got {list(photo.shape)}")
            pixels = img_as_float32(photo)
            pixels = np.repeat(pixels[..., None], 3, axis=2) if photo.ndim == 2 else pixels[..., :3]
            return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        if isinstance(photo, Tensor):
            if photo.dim() != 3 or photo.size(0) != 3 or not photo.is_floating_point() or not photo.numel():
                raise ValueError(f"a photo tensor must be float [3, H, W] in 0..1, got {list(photo.shape)}")
            return photo.float().cpu()
        return read_image(photo)

    @staticmethod
    def _check_boxes(boxes: Tensor, image: Tensor) -> None:
        height, width = image.shape[1:]
        for box in boxes.tolist():
            x, y, w, h = box
            if not (w > 0 and h > 0):
                raise ValueError(f"box {box} has no size: x, y, width, height in pixels are expected")
            if not (x < width and y < height and x + w > 0 and y + h > 0):
                raise ValueError(f"box {box} lies outside of the picture of {width} x {height} pixels")
