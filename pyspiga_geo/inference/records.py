"""Predictions as annotation records, the form that evaluation reads."""

from collections.abc import Iterator, Sequence

import numpy as np

from pyspiga_geo.data import FaceRecord, Photo
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.aligner import BATCH_SIZE, FaceAligner
from pyspiga_geo.layouts import Layout


def to_record(face: FaceData, imgpath: str, layout: Layout) -> FaceRecord:
    """Convert an aligned face to a record.

    Args:
        face: a face of :class:`FaceAligner`, in photo pixels.
        imgpath: path of the photo.
        layout: of the landmarks.

    Returns:
        Landmarks and box in photo pixels, and pose, score and sigma if known. If the model does not estimate
        visibility, all landmarks count as visible.

    Example:
        >>> import torch
        >>> from pyspiga_geo.layouts import get_layout
        >>> face = FaceData(pos=torch.rand(68, 2), bbox=torch.tensor([10.0, 20, 30, 40]))
        >>> record = to_record(face, "photo.jpg", get_layout("ibug68"))
        >>> record.bbox, record.landmarks.shape
        ((10.0, 20.0, 30.0, 40.0), (68, 2))
    """
    return FaceRecord(
        imgpath=imgpath,
        bbox=tuple(face.bbox.tolist()),
        ids=tuple(layout.ids),
        landmarks=face.pos.double().numpy(),
        visible=face.visible.double().numpy() if "visible" in face else np.ones(len(layout)),
        headpose=tuple(face.pose.tolist()) if "pose" in face else None,
        score=float(face.score) if "score" in face else None,
        sigma=face.sigma.double().numpy() if "sigma" in face else None,
    )


def predict_records(
    aligner: FaceAligner,
    annotations: Sequence[FaceRecord],
    photos: Sequence[Photo],
    batch_size: int = BATCH_SIZE,
    workers: int = 0,
) -> Iterator[FaceRecord]:
    """Align annotated faces in their own boxes, in order.

    Args:
        aligner: the model.
        annotations: give the box of each face; their landmarks are not used.
        photos: the photo of each annotation.
        batch_size: faces per batch of the model.
        workers: threads that read photos while the model is running; 0: none.

    Yields:
        A record per annotation.

    Example:
        >>> from skimage.data import astronaut
        >>> truth = FaceRecord("astronaut.png", (178, 91, 93, 83), (7, 12), np.zeros((2, 2)), np.ones(2))
        >>> (record,) = predict_records(FaceAligner("compact"), [truth], [astronaut()])
        >>> record.imgpath, record.landmarks.shape
        ('astronaut.png', (68, 2))
    """
    boxes = ([annotation.bbox] for annotation in annotations)
    aligned = aligner.stream(photos, boxes, batch_size=batch_size, workers=workers)
    for annotation, (face,) in zip(annotations, aligned, strict=True):
        yield to_record(face, annotation.imgpath, aligner.layout)
