r"""
Look inside: who listens to whom
================================

On request an aligner returns the attention of every step, layer and head. Here we look at all of it on one photo: how
many others a landmark attends to, how far away they are, which landmarks are attended to most, and what changes when a
part of the face is covered. We call the landmark that receives a message the *listener*, and those that it attends to
the *speakers*.
"""

import matplotlib.pyplot as plt
import torch
from skimage.data import astronaut

from pyspiga_geo import FaceAligner
from pyspiga_geo.visualization import (
    FOUND,
    TRUTH,
    draw_attention,
    draw_attention_matrix,
    draw_landmarks,
    show_photo,
    zoom_to_face,
)

photo = astronaut()
aligner = FaceAligner("compact", views=1)
layout = aligner.layout
(face,) = aligner(photo, attention=True)
L, steps, layers, heads, _ = face.attention.shape
print(f"attention {list(face.attention.shape)}: {steps} steps of {layers} layers with {heads} heads on {L} landmarks")

# %%
# ``face.attention[i, step, layer, head, j]`` is the weight of landmark j in the message that landmark i receives; over
# j the weights add up to one. Steps, layers and heads count from 0 here, as everywhere in Python.
#
# All layers as matrices
# ----------------------
# Row i holds the weights of the message to landmark i, averaged over the heads. Bright columns are landmarks that many
# others attend to.

figure, axes = plt.subplots(steps, layers, figsize=(3.4 * layers, 9.6), layout="constrained")
for step, row in enumerate(axes):
    for layer, ax in enumerate(row):
        draw_attention_matrix(ax, face, layout, step=step, layer=layer)
        ax.set_title(f"step {step}, layer {layer}")
        ax.label_outer()

# %%
# In the first layer of each step rows differ. The band beside the diagonal are neighbours on the same contour, blocks
# are parts of the face with similar attention. The matrices of the second layers consist of columns: all landmarks
# attend to the same few, in the first two steps mostly to the nose, in the last to a corner of the mouth.
#
# How many, and how far
# ---------------------
# The exponential of the entropy of a row is the effective number of speakers: 1 for a single one, 67 for
# equal weights. Their mean distance is given as a fraction of the face's width.

entropy = -(face.attention * face.attention.clamp(min=1e-12).log()).sum(dim=-1)  # [L, steps, layers, heads]
speakers = entropy.exp().mean(dim=0)
width = face.pos[:, 0].amax() - face.pos[:, 0].amin()
apart = torch.cdist(face.pos, face.pos) / width
distance = torch.einsum("iklhj,ij->klh", face.attention, apart) / L

for step in range(steps):
    for layer in range(layers):
        numbers = " ".join(f"{number:5.1f}" for number in speakers[step, layer].tolist())
        far = " ".join(f"{number:5.2f}" for number in distance[step, layer].tolist())
        print(f"step {step}, layer {layer}: speakers by head {numbers}   distance {far}")

everybody = apart.sum() / (L * (L - 1))
print(f"a landmark that heard all alike would hear them from {everybody:.2f}")

# %%
# A head with a number near 1 would pass each listener the value of a single landmark; head 0 of step 2, layer 1 comes
# nearest to that. Most heads attend to ten to fifty landmarks. Heads with a small distance have specialised in
# neighbours, such as heads 1 and 3 of step 2, layer 0.
#
# The heads of one layer
# ----------------------
# The first layer of the first step, where the landmarks still have far to go, for one listener: the left corner of the
# mouth.

figure, axes = plt.subplots(1, heads, figsize=(13, 3.4), layout="constrained")
for head, ax in enumerate(axes):
    zoom_to_face(show_photo(ax, photo, 0.4), face, margin=0.12)
    draw_attention(ax, face, step=0, layer=0, head=head, listener=54, strongest=10, colorbar=True)
    ax.set_title(f"head {head}")

# %%
# Which landmarks are attended to
# -------------------------------
# The mean of a column shows how much a landmark is attended to. Here it is taken over all layers and heads of each
# step. The areas of the discs are proportional to it.

heard = face.attention.mean(dim=(0, 2, 3))  # [steps, L]
figure, axes = plt.subplots(1, steps, figsize=(11, 3.9), layout="constrained")
for step, ax in enumerate(axes):
    zoom_to_face(show_photo(ax, photo, 0.5), face, margin=0.12)
    ax.scatter(*face.pos.T, s=2500 * heard[step], color="#f0e442", alpha=0.7)
    ax.plot(*face.pos.T, ".", color="white", markersize=3)
    ax.set_title(f"step {step}: the five most heard hold {heard[step].topk(5).values.sum():.0%}")

# %%
# Under an occluder
# -----------------
# Now the same photo with a grey rectangle over the mouth. We give the box of the face, so that the crop, and everything
# in it that is not covered, stays the same.

mouth = [index for name, members in layout.contours.items() if "mouth" in name for index in members]
low, high = face.pos[mouth].amin(dim=0) - 4, face.pos[mouth].amax(dim=0) + 4
hidden = ((face.pos > low) & (face.pos < high)).all(dim=1)
covered = photo.copy()
(left, top), (right, bottom) = low.int().tolist(), high.int().tolist()
covered[top:bottom, left:right] = 128
clear, blind = (aligner(each, [face.bbox.tolist()], attention=True)[0] for each in (photo, covered))

shift = (blind.pos - clear.pos).norm(dim=1)
print(f"{hidden.sum()} landmarks are covered; they move by {shift[hidden].mean():.1f} px on average and by at most")
print(f"{shift[hidden].max():.1f} px, the others by {shift[~hidden].mean():.1f} px; the face is {width:.0f} px wide")

figure, (left_ax, right_ax) = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
zoom_to_face(show_photo(left_ax, covered), face, margin=0.15)
draw_landmarks(left_ax, clear, layout, color=TRUTH, marker="o", label="found without the occluder")
draw_landmarks(left_ax, blind, layout, color=FOUND, marker="x", label="found with it")
left_ax.legend(loc="lower left", fontsize=8)
zoom_to_face(show_photo(right_ax, covered, 0.5), face, margin=0.15)
draw_attention(right_ax, blind, step=0, layer=0, listener=54, strongest=12, colorbar=True)
right_ax.set_title("what the covered corner hears, step 0, layer 0")

# %%
# The covered mouth is found about where it is, though nothing visible shows how far it is open. Everywhere else the two
# markers coincide. The model predicts its uncertainty: the landmarks under the rectangle get a low ``visible`` and a
# larger ``sigma``.

for name, each in (("open face", clear), ("occluder", blind)):
    sure = f"visible {each.visible[hidden].mean():.2f}, sigma {each.sigma[hidden].mean():.1f} px"
    print(f"{name:10} landmarks under the rectangle: {sure}")

# %%
# Does the occluder change the attention? For each step we compare the attention to the covered landmarks, with and
# without the occluder, from landmarks that are covered themselves and from the others.

for name, listeners in (("covered listeners", hidden), ("the others", ~hidden)):
    for step in range(steps):
        shares = [each.attention[listeners, step][..., hidden].sum(dim=-1).mean() for each in (clear, blind)]
        print(f"{name:17} step {step}: {shares[0]:.3f} without the occluder, {shares[1]:.3f} with it")

# %%
# Once they are covered, these landmarks get much less attention in the second and in the last step, from each other and
# from the rest of the face. The network is not told which landmarks are covered: their features show it. In the first
# step, which looks at the coarse map and corrects the pose, they get a little more.
#
# Do the messages help? We run the cascade with every message set to zero, as in
# :doc:`/auto_tutorials/plot_03_one_step_of_the_cascade`. Then we measure the distance of the landmarks from those found
# on the uncovered ("open") face with messages.


def silent(layer, inputs, message):
    """In place of what a layer would have said."""
    return torch.zeros_like(message)


blocks = [block for step in aligner.model.cascade.steps for block in step.blocks]
hooks = [block.conv.register_forward_hook(silent) for block in blocks]
clear_alone, blind_alone = (aligner(each, [face.bbox.tolist()])[0] for each in (photo, covered))
for hook in hooks:
    hook.remove()

print("distance in pixels from where the landmarks were found on the open face")
print("                     covered   the others")
for name, other in (
    ("open face, silent", clear_alone),
    ("occluder, messages", blind),
    ("occluder, silent", blind_alone),
):
    off = (other.pos - clear.pos).norm(dim=1)
    print(f"{name:20} {off[hidden].mean():7.1f} {off[~hidden].mean():12.1f}")

# %%
# Without messages all landmarks are far off, covered or not: this network depends on them.
# Two warnings apply to every such experiment. One face shows what can happen, not what happens on average. And a
# network that was trained with messages and then loses them differs from one that was trained without. Over 224 faces,
# with networks trained with and without messages, messages help most on covered landmarks: :doc:`/ablation`.
