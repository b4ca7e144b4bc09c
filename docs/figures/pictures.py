"""What `pyspiga_geo.visualization` draws of a face, one panel each."""

import matplotlib.pyplot as plt
import torch
from skimage.data import astronaut

from pyspiga_geo import FaceAligner
from pyspiga_geo.visualization import (
    draw_attention,
    draw_cascade,
    draw_initial_shape,
    draw_landmarks,
    draw_pose,
    draw_uncertainty,
    draw_windows,
    show_photo,
    zoom_to_face,
)

photo = astronaut()
aligner = FaceAligner("compact", views=1)
layout = aligner.layout
(face,) = aligner(photo, attention=True)
if "covariance" not in face:  # a model without a head for uncertainty: what a spread of the last step would look like
    move = (face.steps[:, -1] - face.steps[:, -2]).norm(dim=1).clamp(min=0.3)
    face.covariance = torch.eye(2) * move[:, None, None] ** 2

panels = {
    "draw_landmarks": lambda ax: draw_landmarks(ax, face, layout),
    "draw_initial_shape, draw_pose": lambda ax: draw_pose(draw_initial_shape(ax, face, layout), face, layout),
    "draw_cascade": lambda ax: draw_cascade(ax, face, layout),
    "draw_windows": lambda ax: draw_windows(ax, face, [8, 36, 45]),
    "draw_attention": lambda ax: draw_attention(ax, face, step=0, layer=0, listener=8, strongest=15),
    "draw_uncertainty": lambda ax: draw_uncertainty(ax, face),
}
figure, axes = plt.subplots(2, 3, figsize=(11, 7.6), layout="constrained")
for ax, (name, draw) in zip(axes.flat, panels.items(), strict=True):
    zoom_to_face(show_photo(ax, photo, 0.6), face, margin=0.2)
    draw(ax).set_title(name)
