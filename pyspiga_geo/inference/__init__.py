"""Photos in, faces out."""

from pyspiga_geo.inference.aligner import FaceAligner
from pyspiga_geo.inference.detector import Detector, detect_faces
from pyspiga_geo.inference.inputs import Boxes, BoxFormat, Photo
from pyspiga_geo.inference.records import predict_records, to_record

__all__ = ["BoxFormat", "Boxes", "Detector", "FaceAligner", "Photo", "detect_faces", "predict_records", "to_record"]
