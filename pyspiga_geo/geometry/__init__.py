"""Rotations, camera and projection, boxes and crops, pose from points: pure functions on tensors."""

from pyspiga_geo.geometry.camera import camera_matrix, project
from pyspiga_geo.geometry.crops import invert_transform, points_to_box, square_crop, transform_points
from pyspiga_geo.geometry.ellipses import DEGREES_OF_FREEDOM, ellipse_radius, rms_deviation, transform_covariance
from pyspiga_geo.geometry.pose import pose_from_points
from pyspiga_geo.geometry.rotation import euler_to_rotation, rotation_to_euler
from pyspiga_geo.geometry.warp import warp_image

__all__ = [
    "DEGREES_OF_FREEDOM",
    "camera_matrix",
    "ellipse_radius",
    "euler_to_rotation",
    "invert_transform",
    "points_to_box",
    "pose_from_points",
    "project",
    "rms_deviation",
    "rotation_to_euler",
    "square_crop",
    "transform_covariance",
    "transform_points",
    "warp_image",
]
