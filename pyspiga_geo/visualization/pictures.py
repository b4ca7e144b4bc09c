"""Whole pictures, written to files."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import Photo, as_pillow
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.attention import draw_attention
from pyspiga_geo.visualization.canvas import scaled, show_photo, zoom_to_face
from pyspiga_geo.visualization.faces import draw_initial_shape, draw_landmarks, draw_pose
from pyspiga_geo.visualization.overlay import draw_overlay
from pyspiga_geo.visualization.sheets import SOFTWARE, save_figure

_LONGER_SIDE = 1200
"""Least pixels along the longer side of a picture of faces."""


def save_faces(
    path: str | os.PathLike[str],
    image: Photo,
    faces: Sequence[FaceData],
    layout: Layout,
    longest: int | None = None,
) -> None:
    """Write a photo with the landmarks and the pose axes of its faces as PNG, at its own resolution.

    A photo whose longer side is shorter than 1,200 pixels is enlarged to that, so that small faces can be seen.

    Args:
        path: the file.
        image: the photo, see :data:`~pyspiga_geo.data.Photo`.
        faces: in pixels of the photo; see :func:`draw_overlay` for their fields.
        layout: its contours join the landmarks.
        longest: most pixels along the longer side; larger photos are reduced.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from pyspiga_geo.layouts import IBUG68
        >>> face = FaceData(pos=torch.tensor(60 * IBUG68.shape3d[:, 1:] + 100))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_faces(f"{folder}/a.png", Image.new("RGB", (200, 150)), [face], IBUG68, longest=400)
        ...     Image.open(f"{folder}/a.png").size
        (400, 300)
    """
    photo = as_pillow(image)
    factor = max(_LONGER_SIDE / max(photo.size), 1.0)
    if longest is not None:
        factor = min(factor, longest / max(photo.size))
    if factor != 1:
        width, height = (max(round(factor * side), 1) for side in photo.size)
        photo = photo.resize((width, height), Image.Resampling.LANCZOS)
        shift = np.full(2, (factor - 1) / 2)  # pixel indices are those of the centres
        faces = [scaled(face, factor, shift) for face in faces]
    save_picture(path, draw_overlay(photo, faces, layout, numbers=False, pose=True))


def save_picture(path: str | os.PathLike[str], picture: Image.Image) -> None:
    """Write a picture as PNG whose metadata name this program; it appears complete or not at all.

    Args:
        path: the file.
        picture: the picture.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_picture(f"{folder}/a.png", Image.new("RGB", (20, 10)))
        ...     Image.open(f"{folder}/a.png").text
        {'Software': 'pyspiga-geo'}
    """
    metadata = PngInfo()
    metadata.add_text("Software", SOFTWARE)
    with atomic_path(path) as temporary:  # level 1 takes a quarter of the time of the default, 6, and 14 % more bytes
        picture.save(temporary, format="PNG", pnginfo=metadata, compress_level=1)


def save_demo(path: str | os.PathLike[str], image: Tensor, face: FaceData, layout: Layout) -> None:
    """Write the package's picture as PNG: the landmarks of a face, and its attention graph.

    Left: landmarks by contour, the axes of the head and the initial shape x_0. Right: the strongest attention
    edges of the first layer of the last step.

    Args:
        path: the file.
        image: [3, H, W], float RGB in 0..1.
        face: in pixels of the photo, with ``attention``, ``initial``, ``pose`` and ``camera``.
        layout: its contours join the landmarks.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from pyspiga_geo.geometry import camera_matrix
        >>> from pyspiga_geo.graph import complete_edges
        >>> from pyspiga_geo.layouts import IBUG68
        >>> pos = torch.tensor(60 * IBUG68.shape3d[:, 1:] + 100)
        >>> face = FaceData(pos=pos, initial=pos + 5, edge_index=complete_edges(68))
        >>> face.attention = torch.rand(68, 1, 1, 1, 68)
        >>> face.pose, face.camera = torch.tensor([0.0, 0, 0, 0, 0, 5]), camera_matrix(200)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_demo(f"{folder}/a.png", torch.zeros(3, 200, 200), face, IBUG68)
        ...     Image.open(f"{folder}/a.png").size
        (1430, 759)
    """
    figure = Figure(figsize=(13, 6.9), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    for ax, dim in ((left, 1.0), (right, 0.45)):
        zoom_to_face(show_photo(ax, image, dim), face)
    yaw, pitch, roll = face.pose[:3].tolist()
    left.set_title(f"{len(face.pos)} landmarks; head: yaw {yaw:.0f}°, pitch {pitch:.0f}°, roll {roll:.0f}°")
    right.set_title("strongest edges of the landmark graph, first layer of the last step")
    figure.draw_without_rendering()  # lays the panels out: line widths depend on their size
    draw_initial_shape(left, face, layout)
    left.plot([], [], color="grey", linestyle=(0, (2, 2)), label="initial shape $x_0$")
    draw_landmarks(left, face, layout)
    draw_pose(left, face, layout, label=True)
    left.legend(loc="lower left", fontsize=9, framealpha=0.75)
    draw_attention(right, face, step=face.attention.size(1) - 1, layer=0, colorbar=True)
    save_figure(path, figure)
