"""From photos to faces: detect, crop, align, map back."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, Literal, overload

import torch
from torch import nn

from pyspiga_geo.data import Photo, as_photo
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.any_angle import find_at_any_angle
from pyspiga_geo.inference.boxes import Boxes, BoxFormat, as_boxes
from pyspiga_geo.inference.crops import FaceCrops, align_crops, cut_faces
from pyspiga_geo.inference.detector import Detector, find_faces
from pyspiga_geo.inference.onnx_model import OnnxModel
from pyspiga_geo.inference.reading import map_ahead
from pyspiga_geo.inference.views import Views, default_views
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA
from pyspiga_geo.models.trace import can_be_traced

BATCH_SIZE = 16
"""Default number of faces per batch of the model."""

_MOST_KEPT = 2**26
"""Numbers of pixels around faces that wait for the model (256 MB), beyond which a batch is not filled first."""


class FaceAligner:
    """Find landmarks and head pose of the faces in photos.

    An aligner may be used by several threads at once.

    Args:
        model: ``"base"`` or the faster ``"compact"``, which the package ships; a weights file; a :class:`SPIGA`; or the
            ``.onnx`` file of ``pyspiga-geo export``, which gives no attention and whose ``steps`` are empty. A
            :class:`SPIGA` runs as it is; a model that is loaded here is made faster by :meth:`SPIGA.optimize`, and can
            then not be saved.
        detector: finds the faces if no boxes are given (:data:`Detector`). It gets photos on ``device``.
        device: where model and detector run.
        views: number of views in which the model sees each face: 1, the crop of its box; 2, a smaller crop of its
            box, and a larger one, mirrored, of the tight box of the landmarks found in the first; 4, of that box also
            the larger one unmirrored and the smaller one mirrored. The result is their mean, which is more exact and
            depends less on the box; the model takes as many times longer. Default: 2 for a shipped model by its name,
            else 1.

    Raises:
        pyspiga_geo.models.CheckpointError: if a weights file cannot be used.
        ValueError: if the device is not available, or the layout has no mirror order for more than one view.

    Example:
        >>> from skimage.data import astronaut
        >>> aligner = FaceAligner()
        >>> [len(faces) for faces in aligner([astronaut(), astronaut()[256:]])]  # the second shows no face
        [1, 0]
        >>> (face,) = aligner(astronaut(), boxes=[[178, 91, 93, 83]])
        >>> face.pos.shape
        torch.Size([68, 2])
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SPIGA = "base",
        detector: Detector = find_faces,
        device: str | torch.device = "cpu",
        views: int | None = None,
    ) -> None:
        self.device = as_device(device)
        loaded = model if isinstance(model, nn.Module) else load_model(model, self.device)
        self.model = loaded.to(self.device).eval()
        self.detector = detector
        self.views = Views.of(default_views(model) if views is None else views, self.layout)

    @property
    def layout(self) -> Layout:
        """The landmark set of the faces."""
        return self.model.layout

    @overload
    def __call__(
        self, photo: Photo, boxes: Boxes | None = ..., attention: bool = ..., **options: Any
    ) -> list[FaceData]: ...

    @overload
    def __call__(
        self,
        photo: list[Any] | tuple[Any, ...],
        boxes: Sequence[Boxes | None] | None = ...,
        attention: bool = ...,
        **options: Any,
    ) -> list[list[FaceData]]: ...

    def __call__(self, photo: Any, boxes: Any = None, attention: bool = False, **options: Any) -> Any:
        """Align the faces of one photo, or of a list of photos.

        Args:
            photo: see :data:`~pyspiga_geo.inference.Photo`; or a list or tuple of them.
            boxes: [N, 4] in pixels, tight around the landmarks from brows to chin
                (:data:`~pyspiga_geo.inference.Boxes`). An empty list gives no faces. Default: those of the detector.
                For a list of photos, a list with the boxes of each, None for photos in which the detector should look.
            attention: also return ``edge_weight``, the last layer's attention, and ``attention``, that of all layers
                (1 MB per face).
            options: ``box_format``, ``upright``, ``batch_size`` and ``workers`` as in :meth:`stream`.

        Returns:
            The faces of the photo, one graph per face; for a list of photos, a list for each. In pixels of the photo:
            ``pos`` [L, 2], ``initial`` [L, 2], ``steps`` [L, K, 2], ``bbox`` [4] (the box that was cropped). Also
            ``crop`` [3, 3] (photo pixels to crop pixels), ``windows`` [K] (side of the window of each step, in pixels),
            ``edge_index`` [2, E], on request ``edge_weight`` [E] and ``attention``
            [L, K, layers, heads, L], ``score`` (confidence of the detector, 0..1) if it gives one, and if the model
            estimates a pose ``pose`` [6], fitted to the landmarks (yaw, pitch, roll in degrees, translation in units of
            the rigid shape), and ``camera`` [3, 3] in photo pixels. From a model with an uncertainty head also
            ``covariance`` [L, 2, 2], ``sigma`` [L] and ``visible`` [L] (:class:`~pyspiga_geo.graph.FaceData`).

        Raises:
            pyspiga_geo.data.ImageError: if a file cannot be read.
            ValueError: if a photo has another shape or range of values, or a box has no size or is outside the photo.
        """
        if isinstance(photo, list | tuple):
            return list(self.stream(photo, boxes, attention, **options))
        (faces,) = self.stream([photo], None if boxes is None else [boxes], attention, **options)
        return faces

    @overload
    def stream(
        self,
        photos: Iterable[Photo],
        boxes: Iterable[Boxes | None] | None = ...,
        attention: bool = ...,
        *,
        box_format: BoxFormat = ...,
        upright: bool = ...,
        batch_size: int = ...,
        workers: int = ...,
        return_exceptions: Literal[False] = ...,
    ) -> Iterator[list[FaceData]]: ...

    @overload
    def stream(
        self,
        photos: Iterable[Photo],
        boxes: Iterable[Boxes | None] | None = ...,
        attention: bool = ...,
        *,
        box_format: BoxFormat = ...,
        upright: bool = ...,
        batch_size: int = ...,
        workers: int = ...,
        return_exceptions: Literal[True],
    ) -> Iterator[list[FaceData] | ValueError | OSError]: ...

    def stream(
        self,
        photos: Iterable[Photo],
        boxes: Iterable[Boxes | None] | None = None,
        attention: bool = False,
        *,
        box_format: BoxFormat = "xywh",
        upright: bool = True,
        batch_size: int = BATCH_SIZE,
        workers: int = 0,
        return_exceptions: bool = False,
    ) -> Iterator[Any]:
        """Align the faces of many photos, and yield those of each photo in order while the work goes on.

        Photos are read shortly before they are needed, so there may be any number of them. One batch of the model may
        hold faces of several photos.

        Args:
            photos: see :data:`~pyspiga_geo.inference.Photo`.
            boxes: those of each photo, or None for photos in which the detector should look; default: None for all.
            attention: also return ``edge_weight``, the last layer's attention, and ``attention``, that of all layers
                (1 MB per face).
            box_format: ``"xywh"``, left, top, width and height; or ``"xyxy"``, left, top, right and bottom.
            upright: look for faces that are tilted by up to about 45 degrees; False: by any angle, which takes four
                times as long.
            batch_size: faces per batch of the model.
            workers: threads that read photos and detect faces while the model is running; 0: none.
            return_exceptions: yield the error in place of the faces of a photo that cannot be read or has impossible
                boxes, and go on.

        Yields:
            The faces of each photo, as :meth:`__call__` returns them.

        Raises:
            pyspiga_geo.data.ImageError: if a file cannot be read.
            ValueError: if a photo has another shape or range of values, or a box has no size or is outside the photo.

        Example:
            >>> from skimage.data import astronaut
            >>> box = [[178, 91, 93, 83]]
            >>> for faces in FaceAligner().stream([astronaut()] * 2, [box, box], batch_size=2, workers=1):
            ...     print(len(faces))
            1
            1
        """
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size must be 1 or more and workers 0 or more, got {batch_size} and {workers}")
        if boxes is not None and not isinstance(boxes, Iterable):
            raise ValueError(f"boxes of several photos must be a list with those of each, got {type(boxes).__name__}")
        config = self.model.config

        def prepare(pair: tuple[Photo, Boxes | None]) -> FaceCrops | ValueError | OSError:
            photo, given = pair
            try:
                image = as_photo(photo)
                found = self._detect(image, upright) if given is None else given
                faces = as_boxes(found, image, box_format)
                return cut_faces(image, faces, config.image_size, config.crop_scale, self.views)
            except (ValueError, OSError) as error:
                return error

        pairs = zip(photos, repeat(None)) if boxes is None else zip(photos, boxes, strict=True)
        pending: list[FaceCrops | ValueError | OSError] = []
        waiting = kept = 0
        for each in map_ahead(prepare, pairs, workers):
            if isinstance(each, Exception) and not return_exceptions:
                yield from self._align(pending, batch_size, attention)
                raise each
            pending.append(each)
            if isinstance(each, FaceCrops):
                waiting += len(each.matrix)
                kept += sum(face.pixels.numel() for face in each.around)
            # Photos without a face are told too.
            if waiting >= batch_size or kept >= _MOST_KEPT or len(pending) >= 4 * batch_size:
                yield from self._align(pending, batch_size, attention)
                pending, waiting, kept = [], 0, 0
        yield from self._align(pending, batch_size, attention)

    def _detect(self, image: torch.Tensor, upright: bool) -> Boxes:
        image = image.to(self.device)
        with torch.autocast(self.device.type, enabled=False):  # boxes are pixels
            return self.detector(image) if upright else find_at_any_angle(self.detector, image)

    def _align(self, pending: list[Any], batch_size: int, attention: bool) -> Iterator[Any]:
        """The faces of each photo that was cropped; errors as they are."""
        cut = [each for each in pending if isinstance(each, FaceCrops)]
        faces = iter(align_crops(self.model, cut, batch_size, attention, self.device, self.views) if cut else ())
        for each in pending:
            yield next(faces) if isinstance(each, FaceCrops) else each


def load_model(model: str | os.PathLike[str], device: torch.device) -> SPIGA | OnnxModel:
    """A shipped model or one of a weights file, both optimized without compiling; or one of an ``.onnx`` file."""
    path = os.fspath(model)
    if path.endswith(".onnx"):
        return OnnxModel(path, device)
    loaded = SPIGA.from_pretrained(path)
    return loaded.optimize(trace=can_be_traced(loaded))


def as_device(device: str | torch.device) -> torch.device:
    """Check that a device is available.

    Raises:
        ValueError: if PyTorch does not know it or cannot use it here; the message names the device.
    """
    try:
        known = torch.device(device)
        torch.empty(0, device=known)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used here: {reason}") from error
    return known
