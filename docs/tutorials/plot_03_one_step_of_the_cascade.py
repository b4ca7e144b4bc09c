r"""
One step of the cascade under the microscope
============================================

A step of the cascade moves every landmark a little. It samples the image features and the heatmap around each landmark,
adds a position encoding, lets the landmarks exchange messages, and decodes the result into a bounded displacement:

.. math::
    \mathbf{f}_i = \mathbf{v}_i + \mathbf{h}_i + \mathbf{r}_i,

.. math::
    \mathbf{f} \leftarrow \mathbf{f} + \mathrm{MLP}([\mathrm{LN}(\mathbf{f}) \,\Vert\, \mathbf{m}])
    \text{ per layer},

.. math::
    \Delta \mathbf{x}_i = \tfrac{w}{2} \cdot \tfrac{2}{\pi} \arctan(\mathrm{decoder}(\mathbf{f}_i)) .

We take the first step of the compact model, run it piece by piece on a photo, and check at the end that the result
equals that of :class:`~pyspiga_geo.nn.StepRegressor`.
"""

import matplotlib.pyplot as plt
import torch
from skimage.data import astronaut

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.geometry import warp_image
from pyspiga_geo.nn.visual_window import sample_windows
from pyspiga_geo.visualization import (
    draw_attention,
    draw_cascade,
    draw_heatmaps,
    draw_initial_shape,
    draw_landmarks,
    draw_windows,
    show_photo,
)

torch.set_grad_enabled(False)

# %%
# Where the step begins
# ---------------------
# The aligner finds the face and returns how it was cropped. We cut the same crop again and run the backbone on it. The
# backbone returns the head pose, two feature maps, and a heatmap for each landmark. The first step reads the coarser
# map, the others the finer one. x_0 is the rigid face, projected under this pose.

photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
aligner = FaceAligner("compact", views=1)
(found,) = aligner(photo)
model, layout = aligner.model, aligner.layout
cascade, size = model.cascade, model.config.image_size
crop = warp_image(photo, found.crop, size)

seen = model.backbone(crop[None], return_heatmaps=True)
feature_map, fine = seen.maps
x0 = model.start(seen)  # [1, L, 2], normalised crop coordinates: pixel index / resolution
step, window = cascade.steps[0], cascade.windows[0]
L = len(layout)
print(
    f"feature maps {list(feature_map.shape)} and {list(fine.shape)}, heatmaps {list(seen.heatmaps.shape)}, "
    f"x_0 {list(x0.shape)}, w = {window}"
)

# %%
# Windows
# -------
# Each landmark samples a square window of side w around itself; here w is a quarter of the crop, and each further step
# halves it. In the compact model the landmark also samples its own heatmap, the backbone's estimate of where it is. The
# left picture shows x_0 and the windows of five landmarks, the right one their heatmaps.

SHOWN = {"chin": 8, "tip of the nose": 30, "right eye": 36, "left eye": 45, "corner of the mouth": 54}
rows = list(SHOWN.values())
face = FaceData(initial=size * x0[0], steps=size * x0[0, :, None])  # in pixels of the crop

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
show_photo(left, crop, 0.6)
draw_initial_shape(left, face, layout)
draw_windows(left, face, rows, step=1, windows=[window * size])
left.set_title("$x_0$ and the windows of five landmarks")
show_photo(right, crop, 0.6)
draw_heatmaps(right, seen.heatmaps[0], landmarks=rows)
right.set_title("their heatmaps")

# %%
# What is in such a window? These are the parts of the photo, with the landmark in the middle. The network samples not
# the photo but the channels of the feature map, at a few points of the window.

patches = sample_windows(crop[None], x0[:, rows], window, samples=64)  # [1, 3, 5, 64 * 64]
figure, axes = plt.subplots(1, 5, figsize=(11, 2.5), layout="constrained")
for ax, name, patch in zip(axes, SHOWN, patches[0].unbind(dim=1), strict=True):
    show_photo(ax, patch.unflatten(1, (64, 64)))
    ax.plot(31.5, 31.5, "+", color="#56b4e9", markersize=12, markeredgewidth=2)
    ax.set_title(name)

# %%
# No landmark is far off: the pose has brought the rigid face to roughly the right place, and the true position lies
# within the window. One linear map and a layer norm turn the samples of the features into the vector
# :math:`\mathbf{v}_i`, others those of the heatmap into :math:`\mathbf{h}_i`.

v = step.visual(feature_map, x0, window)  # [1, L, 96]
h = step.own(seen.heatmaps, x0, window)

# %%
# Positions
# ---------
# A window does not tell which landmark it belongs to, nor where the rest of the face is. So an MLP computes a vector
# :math:`\mathbf{r}_i` from the displacements of the landmark from all the others, in order
# (``position="ordered"``). The sum of the three vectors is the input of the graph layers. Their lengths show how much
# each contributes:

r = step.relative(x0)
f = v + h + r
for name, part in (("window v", v), ("heatmap h", h), ("positions r", r)):
    print(f"{name:12} length {part.norm(dim=-1).mean():5.2f} on average")

# %%
# Messages
# --------
# Each layer sends messages along all edges and updates the features; :doc:`/auto_tutorials/plot_02_attention_by_hand`
# explains one layer in detail. Here is what the left outer eye corner attends to, layer by layer, averaged over the
# heads.

weights = []
for block in step.blocks:
    f, alpha = block(f, return_attention_weights=True)
    weights.append(alpha[0])  # [heads, L, L]
listening = FaceData(
    pos=face.initial, edge_index=found.edge_index, attention=torch.stack(weights, dim=2).permute(1, 2, 0, 3)[:, None]
)

figure, axes = plt.subplots(1, len(weights), figsize=(4 * len(weights), 3.9), layout="constrained")
for layer, ax in enumerate(axes):
    show_photo(ax, crop, 0.4)
    draw_attention(ax, listening, step=0, layer=layer, listener=45, strongest=12, colorbar=True)
    ax.set_title(f"layer {layer}")

# %%
# A bounded move
# --------------
# The decoder turns the features of each landmark into two unbounded numbers. The scaled arctangent maps them into
# -1..1. Multiplied by half of the window's side, they are the move along x and y: a landmark never
# leaves its window. Each marker is one coordinate of one landmark.

raw = step.decoder(f)  # [1, L, 2]
move = window / 2 * (2 / torch.pi) * raw.atan()

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
line = torch.linspace(-4, 4, 200)
ax.plot(line, size * window / 2 * (2 / torch.pi) * line.atan(), color="grey")
for axis, (name, color, marker) in enumerate((("x", "#0072b2", "o"), ("y", "#d55e00", "x"))):
    ax.plot(raw[0, :, axis], size * move[0, :, axis], marker, color=color, label=f"{name} of a landmark")
ax.axhline(size * window / 2, color="black", linestyle=":", label="half of the window")
ax.axhline(-size * window / 2, color="black", linestyle=":")
ax.set(xlabel="output of the decoder", ylabel="move, pixels of the crop")
ax.legend()

# %%
# On this face nearly all moves lie on the steep part of the curve, and a few of the jaw beyond it. The bound matters if
# the pose is far off, and it stabilises training.
#
# The pieces are the step
# -----------------------
# The module must give the same result, and so must the first step of the cascade.

out = step(x0, feature_map, window, heatmaps=seen.heatmaps)
walked = cascade(x0, [feature_map, fine, fine], heatmaps=seen.heatmaps)
print(f"move: largest difference {(out.move - move).abs().max():.1e}")
print(f"x_1:  largest difference {(walked.steps[0] - (x0 + move)).abs().max():.1e}")
assert torch.allclose(out.move, move, atol=1e-6)
assert torch.allclose(walked.steps[0], x0 + move, atol=1e-6)

# %%
# What did the messages do?
# -------------------------
# We run the same step once more, with every message set to zero and all weights unchanged.


def silent(layer, inputs, message):
    """In place of what a layer would have said."""
    return torch.zeros_like(message)


hooks = [block.conv.register_forward_hook(silent) for block in step.blocks]
alone = step(x0, feature_map, window, heatmaps=seen.heatmaps).move
for hook in hooks:
    hook.remove()

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for ax, moved, title in ((left, move, "with messages"), (right, alone, "without")):
    show_photo(ax, crop, 0.6)
    after = face.clone()
    after.steps = size * (x0 + moved)[0, :, None]
    draw_cascade(ax, after, layout)
    draw_landmarks(ax, FaceData(pos=after.steps[:, 0]), layout)
    ax.set_title(f"{title}: {size * moved.norm(dim=-1).mean():.1f} px on average")
print(f"messages change the move by {size * (move - alone).norm(dim=-1).mean():.2f} px on average")

# %%
# This shows how much *this* network, which was trained with messages, depends on them. It does not show that messages
# are needed: a network that is trained without them learns to work without them. :doc:`/ablation` makes that
# comparison, and :doc:`/auto_tutorials/plot_06_swap_the_convolution` makes it on a small scale.
