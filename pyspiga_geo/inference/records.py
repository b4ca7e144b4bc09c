"""Predictions as annotation records, the form that evaluation reads."""

from collections.abc import Iterable, Sequence

import numpy as np

from pyspiga_geo.data import FaceRecord
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.aligner import FaceAligner
from pyspiga_geo.inference.inputs import Photo
from pyspiga_geo.layouts import Layout


def to_record(face: FaceData, imgpath: str, layout: Layout) -> FaceRecord:
    """An aligned face as a record: landmarks and box in photo pixels, head pose, how likely each can be seen.

    Of a model that does not tell, all landmarks count as visible.
    """
    return FaceRecord(
        imgpath=imgpath,
        bbox=tuple(face.bbox.tolist()),
        ids=tuple(layout.ids),
        landmarks=face.pos.double().numpy(),
        visible=face.visible.double().numpy() if "visible" in face else np.ones(len(layout)),
        headpose=tuple(face.pose.tolist()) if "pose" in face else None,
    )


def predict_records(
    aligner: FaceAligner, annotations: Iterable[FaceRecord], photos: Sequence[Photo]
) -> Iterable[FaceRecord]:
    """Align annotated faces in their own boxes, one at a time, in order.

    Args:
        aligner: the model.
        annotations: say which box to look at; their landmarks are not used.
        photos: the photo of each annotation.
    """
    for annotation, photo in zip(annotations, photos, strict=True):
        (face,) = aligner(photo, [annotation.bbox])
        yield to_record(face, annotation.imgpath, aligner.layout)
