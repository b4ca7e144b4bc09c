"""Pictures of faces: landmarks, pose axes, attention graphs; and of the errors of methods on them."""

from pyspiga_geo.visualization.animation import animate_cascade
from pyspiga_geo.visualization.attention import draw_attention, draw_attention_matrix
from pyspiga_geo.visualization.canvas import show_photo, zoom_to_face
from pyspiga_geo.visualization.cascade import draw_cascade, draw_heatmaps, draw_windows
from pyspiga_geo.visualization.colours import FOUND, TRUTH
from pyspiga_geo.visualization.contact_sheet import ContactSheet
from pyspiga_geo.visualization.error_curves import contour_bars, cumulative_curve, error_against_yaw
from pyspiga_geo.visualization.error_map import error_map, mean_face
from pyspiga_geo.visualization.evaluation_report import write_evaluation_report
from pyspiga_geo.visualization.faces import draw_initial_shape, draw_landmarks, draw_pose, draw_uncertainty
from pyspiga_geo.visualization.overlay import PALETTE, draw_overlay
from pyspiga_geo.visualization.pictures import save_demo, save_faces, save_picture
from pyspiga_geo.visualization.sheets import face_sheet, save_figure

__all__ = [
    "ContactSheet",
    "FOUND",
    "PALETTE",
    "TRUTH",
    "animate_cascade",
    "contour_bars",
    "cumulative_curve",
    "draw_attention",
    "draw_attention_matrix",
    "draw_cascade",
    "draw_heatmaps",
    "draw_initial_shape",
    "draw_landmarks",
    "draw_overlay",
    "draw_pose",
    "draw_uncertainty",
    "draw_windows",
    "error_against_yaw",
    "error_map",
    "face_sheet",
    "mean_face",
    "save_demo",
    "save_faces",
    "save_figure",
    "save_picture",
    "show_photo",
    "write_evaluation_report",
    "zoom_to_face",
]
