"""From photos to faces: detection, alignment, export."""

from pyspiga_geo.data import Photo
from pyspiga_geo.inference.aligner import FaceAligner
from pyspiga_geo.inference.boxes import Boxes, BoxFormat, FaceBoxes
from pyspiga_geo.inference.detector import Detector, detect_faces, find_faces
from pyspiga_geo.inference.records import predict_records, to_record
from pyspiga_geo.inference.yunet import Faces, YuNet

__all__ = [
    "BoxFormat",
    "Boxes",
    "Detector",
    "FaceAligner",
    "FaceBoxes",
    "Faces",
    "Photo",
    "YuNet",
    "detect_faces",
    "find_faces",
    "predict_records",
    "to_record",
]
