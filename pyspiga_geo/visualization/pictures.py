"""Whole pictures, written to files."""

import os
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.faces import (
    draw_attention,
    draw_initial_shape,
    draw_landmarks,
    draw_pose,
    show_photo,
    zoom_to_face,
)
from pyspiga_geo.visualization.sheets import save_figure

_LONGER_SIDE = 1200
"""Least pixels along the longer side of a picture of faces."""


def save_faces(path: str | os.PathLike[str], image: Tensor, faces: Sequence[FaceData], layout: Layout) -> None:
    """Write a photo [3, H, W] with the landmarks and the pose axes of its faces as PNG."""
    height, width = image.shape[1:]
    scale = max(1.0, _LONGER_SIDE / max(height, width))
    figure = Figure(figsize=(scale * width / 100, scale * height / 100), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    show_photo(ax, image)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    for face in faces:
        size = _size(face)
        draw_landmarks(ax, face.pos, layout, size)
        if layout.shape3d is not None and "pose" in face:
            draw_pose(ax, face, torch.tensor(layout.shape3d), size)
    save_figure(path, figure)


def save_demo(path: str | os.PathLike[str], image: Tensor, face: FaceData, layout: Layout) -> None:
    """Write the package's picture as PNG: what was found on a face, and which landmarks listen to which.

    Left: landmarks by contour, the axes of the head and the initial shape x_0. Right: the strongest attention
    edges of the last layer; ``face`` must have ``edge_weight``.
    """
    figure = Figure(figsize=(13, 6.9), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    size = _size(face)
    for ax, dim in ((left, 1.0), (right, 0.45)):
        show_photo(ax, image, dim)
        zoom_to_face(ax, face, image)
    figure.canvas.draw()  # lays the panels out: line widths depend on their size
    draw_initial_shape(left, face.initial, layout, size)
    left.plot([], [], color="grey", linestyle=(0, (2, 2)), label="initial shape $x_0$")
    draw_landmarks(left, face.pos, layout, size)
    draw_pose(left, face, torch.tensor(layout.shape3d), size, label=True)
    left.legend(loc="lower left", fontsize=9, framealpha=0.75)
    yaw, pitch, roll = face.pose[:3].tolist()
    left.set_title(f"{len(face.pos)} landmarks; head: yaw {yaw:.0f}°, pitch {pitch:.0f}°, roll {roll:.0f}°")
    lines = draw_attention(right, face, size)
    figure.colorbar(lines, ax=right, shrink=0.6, label="attention, mean over heads")
    right.set_title("strongest edges of the landmark graph, last layer of the last step")
    save_figure(path, figure)


def _size(face: FaceData) -> float:
    return float((face.pos.amax(dim=0) - face.pos.amin(dim=0)).max())
