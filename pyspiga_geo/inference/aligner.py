"""Photos in, faces out: detect, crop, align, map back."""

import os

import torch
from torch import Tensor, nn

from pyspiga_geo.geometry import invert_transform, square_crop, transform_points, warp_image
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.detector import Detector, detect_faces
from pyspiga_geo.inference.inputs import Boxes, BoxFormat, Photo, as_boxes, as_photo
from pyspiga_geo.inference.onnx_model import OnnxModel
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA, PosedShape


class FaceAligner:
    """Find landmarks and head pose of the faces in a photo.

    Args:
        model: ``"compact"``, which the package ships, a weights file, a :class:`SPIGA`, or the ``.onnx`` file of
            ``pyspiga-geo export``, which gives no attention and whose ``steps`` are empty.
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
        self.device = torch.device(device)
        loaded = model if isinstance(model, nn.Module) else load_model(model, self.device)
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
            ``steps`` [L, K, 2], ``bbox`` [4] (the box that was cropped). Also ``crop`` [3, 3] (photo pixels to crop
            pixels), ``edge_index``, on request ``edge_weight``, and where the model estimates them ``pose`` [6] (yaw,
            pitch, roll in degrees, translation in units of the rigid shape) and ``camera`` [3, 3] in photo pixels.

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
            if isinstance(start, PosedShape):
                enlarge = torch.diag(crop.new_tensor([size / start.map_size, size / start.map_size, 1]))
                face.camera = to_photo @ enlarge @ start.camera.to(crop)
            face.crop, face.bbox = crop, box
        return [face.cpu() for face in faces]


def load_model(model: str | os.PathLike[str], device: torch.device) -> SPIGA | OnnxModel:
    """A shipped model, one of a weights file, both optimized without compiling; or one of an ``.onnx`` file."""
    path = os.fspath(model)
    if path.endswith(".onnx"):
        return OnnxModel(path, device)
    return SPIGA.from_pretrained(path).optimize()
