"""Predictions as annotation records, the form that evaluation reads."""

from collections.abc import Iterator, Sequence

import numpy as np

from pyspiga_geo.data import FaceRecord
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.aligner import BATCH_SIZE, FaceAligner
from pyspiga_geo.inference.inputs import Photo
from pyspiga_geo.layouts import Layout


def to_record(face: FaceData, imgpath: str, layout: Layout) -> FaceRecord:
    """An aligned face as a record: landmarks and box in photo pixels, and what else is known of it.

    Where the model does not say what is visible, all landmarks count as visible.
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
        annotations: say which box to look at; their landmarks are not used.
        photos: the photo of each annotation.
        batch_size: faces that the model sees at once.
        workers: threads that read photos while the model is at work; 0: none.
    """
    boxes = ([annotation.bbox] for annotation in annotations)
    aligned = aligner.stream(photos, boxes, batch_size=batch_size, workers=workers)
    for annotation, (face,) in zip(annotations, aligned, strict=True):
        yield to_record(face, annotation.imgpath, aligner.layout)
