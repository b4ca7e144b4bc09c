"""Pictures of faces: landmarks, pose axes, attention graphs."""

from pyspiga_geo.visualization.faces import (
    draw_attention,
    draw_initial_shape,
    draw_landmarks,
    draw_pose,
    show_photo,
    zoom_to_face,
)
from pyspiga_geo.visualization.pictures import save_demo, save_faces

__all__ = [
    "draw_attention",
    "draw_initial_shape",
    "draw_landmarks",
    "draw_pose",
    "save_demo",
    "save_faces",
    "show_photo",
    "zoom_to_face",
]
