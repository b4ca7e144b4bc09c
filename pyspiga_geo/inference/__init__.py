"""Photos in, faces out."""

from pyspiga_geo.inference.aligner import FaceAligner, Photo
from pyspiga_geo.inference.detector import Detector, detect_faces
from pyspiga_geo.inference.records import predict_records, to_record
from pyspiga_geo.inference.yunet import Faces, YuNet

__all__ = ["Detector", "FaceAligner", "Faces", "Photo", "YuNet", "detect_faces", "predict_records", "to_record"]
