"""What yaw, pitch and roll do to the rigid face, as the camera sees it."""

import matplotlib.pyplot as plt
import torch

from pyspiga_geo import FaceData
from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.layouts import WFLW98
from pyspiga_geo.visualization import draw_landmarks, draw_pose

SIZE = 160
ANGLE = 30.0
DISTANCE = 3.3  # in units of the rigid face: it fills its panel

shape3d = torch.tensor(WFLW98.shape3d)
camera = camera_matrix(SIZE, dtype=shape3d.dtype)

figure, axes = plt.subplots(2, 3, figsize=(10, 6.8), layout="constrained")
for row, sign in enumerate((1, -1)):
    for column, name in enumerate(("yaw", "pitch", "roll")):
        ax = axes[row, column]
        pose = torch.zeros(6, dtype=shape3d.dtype)
        pose[column], pose[5] = sign * ANGLE, DISTANCE
        pos = project(shape3d, pose, camera)
        ax.set_facecolor("#30343f")
        ax.set_xlim(0, SIZE)
        ax.set_ylim(SIZE, 0)
        ax.set_aspect("equal")
        ax.set_xticks([])
        ax.set_yticks([])
        draw_landmarks(ax, FaceData(pos=pos), WFLW98)
        draw_pose(ax, FaceData(pose=pose, camera=camera), WFLW98, label=True)
        ax.set_title(f"{name} {sign * ANGLE:+.0f}°")
axes[0, 0].legend(loc="lower right", fontsize=8)
