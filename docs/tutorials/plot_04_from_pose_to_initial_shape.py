r"""
From head pose to initial shape
===============================

The cascade needs a first guess of every landmark. SPIGA gets it from the head pose: a rigid 3-D face, rotated by three
angles, translated, and projected by a pinhole camera,

.. math::
    \mathbf{x}_0 = \pi\left( \mathbf{K} (\mathbf{R} \mathbf{X} + \mathbf{t}) \right) .

This tutorial goes through the formula symbol by symbol, checks each against the package, and measures how wrong a pose
may be before the cascade can no longer correct it.
"""

import math

import matplotlib.pyplot as plt
import torch
from skimage.data import astronaut

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.geometry import euler_to_rotation, pose_from_points, project, warp_image
from pyspiga_geo.visualization import (
    draw_cascade,
    draw_initial_shape,
    draw_landmarks,
    draw_pose,
    show_photo,
    zoom_to_face,
)

torch.set_grad_enabled(False)

# %%
# The rigid face: X
# -----------------
# The layout contains a mean face in three dimensions, in units of its own: X points out of the face, Y to the person's
# right, Z down. It has a closed mouth and is the same for everybody.

aligner = FaceAligner("compact", views=1)
layout = aligner.layout
X = torch.tensor(layout.shape3d)  # [L, 3], float64
print(f"X {list(X.shape)}, sides {(X.amax(dim=0) - X.amin(dim=0)).numpy().round(2)}")

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
views = (("from the front", -X[:, 1], X[:, 2]), ("from its right", X[:, 0], X[:, 2]), ("from above", -X[:, 1], X[:, 0]))
for ax, (name, across, down) in zip(axes, views, strict=True):
    ax.set_facecolor("#30343f")
    draw_landmarks(ax, FaceData(pos=torch.stack([across, down], dim=1)), layout)
    ax.set(title=name, xticks=[], yticks=[])

# %%
# The rotation: R
# ---------------
# The backbone estimates the head pose: yaw, pitch and roll in degrees. They are 0 for a face that looks into the
# camera. Yaw grows when the face turns to the right of the picture, pitch when it looks up, roll when the head tilts
# clockwise. As a matrix,
#
# .. math::
#     \mathbf{R} = \mathbf{R}_y(90^\circ - \text{yaw}) \; \mathbf{R}_z(-\text{pitch}) \;
#     \mathbf{R}_x(-90^\circ - \text{roll}) .

photo = astronaut()
(face,) = aligner(photo)
model, size = aligner.model, aligner.model.config.image_size
crop = warp_image(torch.from_numpy(photo).permute(2, 0, 1) / 255, face.crop, size)
seen = model.backbone(crop[None], return_heatmaps=True)
estimated = seen.pose[0].double()
yaw, pitch, roll = estimated[:3].tolist()
print(f"yaw {yaw:.1f}, pitch {pitch:.1f}, roll {roll:.1f} degrees")


def turn(axis, degrees):
    """Rotation matrix about the axis x, y or z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrices = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return torch.tensor(matrices[axis], dtype=torch.float64)


R = turn("y", 90 - yaw) @ turn("z", -pitch) @ turn("x", -90 - roll)
print(f"R: largest difference {(R - euler_to_rotation(estimated[:3])).abs().max():.1e}")
assert torch.allclose(R, euler_to_rotation(estimated[:3]))

# %%
# The translation and the camera: t, K
# ------------------------------------
# The last three numbers of the pose are the position of the head in front of the camera, in units of the rigid face.
# The camera is a pinhole whose focal length is one and a half times the side of the crop. An aligner gives the camera
# in pixels of the photo. Multiplying by it and dividing by depth gives x_0.

t, K = estimated[3:], face.camera.double()
in_camera = X @ R.T + t  # [L, 3]: x to the right, y down, z away from the camera
homogeneous = in_camera @ K.T
x0 = homogeneous[:, :2] / homogeneous[:, 2:]  # pi: division by depth
print(f"the head is {t[2]:.2f} units away, {X[:, 1].amax() - X[:, 1].amin():.2f} units wide")
print(f"x_0: largest difference {(x0 - project(X, estimated, K)).abs().max():.1e} px")
print(f"     from what the model started with {(x0 - face.initial).abs().max():.1e} px")
assert torch.allclose(x0, face.initial.double(), atol=1e-2)

figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
for ax, title in zip(
    axes, ("the head's axes", "$x_0$: the rigid face projected", "what the cascade makes of it"), strict=True
):
    zoom_to_face(show_photo(ax, photo, 0.7), face, margin=0.2)
    ax.set_title(title)
draw_pose(axes[0], face, layout, label=True)
axes[0].legend(loc="lower left", fontsize=8)
draw_initial_shape(axes[1], face, layout)
draw_cascade(axes[2], face, layout)
axes[2].legend(loc="lower left", fontsize=8)

# %%
# The other way round
# -------------------
# Given landmarks, which pose fits them? :func:`~pyspiga_geo.geometry.pose_from_points` answers that. From x_0
# it must recover the pose. From the landmarks that the cascade found, its estimate is better than the backbone's, which
# was made without them; so this is the ``pose`` that an aligner returns. It is fitted to the landmarks
# that move little with expression.

again = pose_from_points(x0, X, K)
rigid = layout.pose_rows
fitted = pose_from_points(face.pos[rigid].double(), X[rigid], K)
for name, pose in (("backbone", estimated), ("from x_0", again), ("from the landmarks", fitted)):
    print(f"{name:19} yaw {pose[0]:6.2f}, pitch {pose[1]:6.2f}, roll {pose[2]:6.2f}")
assert torch.allclose(again, estimated, atol=0.1)
assert torch.allclose(fitted, face.pose.double(), atol=0.1)

# %%
# How wrong may the pose be?
# --------------------------
# We start the cascade from wrong angles, off by up to 60 degrees; everything else stays as it is. We compare with the
# landmarks found from the estimated pose, in percent of the distance between the outer eye corners.


def walk(pose):
    """x_0 ... x_K [K + 1, L, 2] from a pose [6], normalised crop coordinates."""
    initial, out = model.refine(seen._replace(pose=pose[None]))
    return torch.cat([initial, *out.steps])


true = walk(seen.pose[0])
unit = (true[-1, 36] - true[-1, 45]).norm() / 100
lies = torch.arange(-60, 61, 5)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained", sharey=True)
for angle, (ax, name) in enumerate(zip(axes, ("yaw", "pitch", "roll"), strict=True)):
    off = torch.eye(6)[angle]
    walks = torch.stack([walk(seen.pose[0] + lie * off) for lie in lies])  # [lies, K + 1, L, 2]
    distance = (walks - true[-1]).norm(dim=-1).mean(dim=-1) / unit
    for step, (color, marker) in enumerate(zip(("#7f7f7f", "#f0c000", "#d55e00", "#0072b2"), "ovsD", strict=True)):
        ax.plot(lies, distance[:, step], color=color, marker=marker, markersize=4, label=f"$x_{step}$")
    ax.set(xlabel=f"{name} off by, degrees", title=name)
    near = distance[:, -1] < 5
    print(f"{name}: ends within 5 % for lies from {lies[near].min()} to {lies[near].max()} degrees")
axes[0].set_ylabel("distance from the true end,\n% of the eye corners' distance")
axes[0].legend()

# %%
# Three of these as pictures: the wrong start, dashed, and the path from there.

figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
for ax, (name, lie) in zip(axes, (("yaw", (30, 0, 0)), ("roll", (0, 0, 25)), ("roll", (0, 0, 60))), strict=True):
    places = size * walk(seen.pose[0] + torch.tensor([*lie, 0, 0, 0]))
    show_photo(ax, crop, 0.7)
    draw_cascade(ax, FaceData(initial=places[0], steps=places[1:].transpose(0, 1)), layout)
    ax.set_title(f"{name} off by {max(lie)}°")

# %%
# The cascade corrects a pose that is off by 20 degrees, because its first windows are a quarter as wide as the crop and
# contain the peak of every landmark's heatmap. Beyond that, landmarks converge to the places of their neighbours, and
# later steps, whose windows are smaller, cannot bring them back. That is why the backbone estimates the pose, and why
# SPIGA starts from it and not from a mean shape.
#
# The next tutorial trains a cascade that starts from such shapes: :doc:`/auto_tutorials/plot_05_train_a_cascade`.
