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
from pyspiga_geo.visualization.sheets import face_sheet, save_figure

__all__ = [
    "draw_attention",
    "draw_initial_shape",
    "draw_landmarks",
    "draw_pose",
    "face_sheet",
    "save_demo",
    "save_faces",
    "save_figure",
    "show_photo",
    "zoom_to_face",
]
