"""
Train a cascade in three minutes
================================

A cascade needs three things: a feature map, a first guess of where the landmarks are, and examples of where they
should be. Here the features come from a trained, frozen network, the guesses from the head pose that the
same network estimates, and the examples from synthetic faces. Only the cascade itself is trained. The last line of
the output says how long this took on the machine that built the page.
"""

import time

import matplotlib.pyplot as plt
import torch
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo import SPIGA, FaceData, SPIGACascade
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.data.transforms import Resample, SquareCrop
from pyspiga_geo.evaluation import face_errors, landmark_errors, nme, normaliser
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss
from pyspiga_geo.visualization import FOUND, TRUTH, draw_landmarks, show_photo

started = time.perf_counter()
seed_everything(0)

# %%
# Faces
# -----
# :class:`~pyspiga_geo.data.SyntheticFaces` renders cartoon faces: a rigid face, deformed, rotated and projected.
# Nothing has to be downloaded, and the landmarks are exact. Two transforms cut the crop that the network wants.

trained = SPIGA.from_pretrained("compact")
layout, config = trained.layout, trained.config
crop = Compose([SquareCrop(config.image_size, config.crop_scale), Resample(config.image_size)])
faces = SyntheticFaces(layout, num_faces=400, transform=crop)

# %%
# Features of a frozen backbone
# -----------------------------
# The backbone of the compact model was trained on photos, not on synthetic faces. We freeze it. Then its output for a
# face never changes: we compute it once, keep it, and train on that. The backbone is by far the most expensive part, so
# this saves most of the time.

images, truth, features, first_guesses = [], [], [], []
with torch.no_grad():
    for batch in DataLoader(faces, batch_size=40):
        seen = trained.backbone(batch.image)
        images.append(batch.image)
        truth.append(batch.pos.view(-1, len(layout), 2))  # normalised crop coordinates: pixel index / resolution
        features.append(seen.maps[-1])
        first_guesses.append(trained.start(seen))
images, truth, features, initial = (torch.cat(parts) for parts in (images, truth, features, first_guesses))
print("features", tuple(features.shape), f"after {time.perf_counter() - started:.0f} s")

# %%
# The first guess
# ---------------
# x_0 is the rigid face projected under the estimated pose. The first 80 faces are kept for
# testing. Errors are in percent of the distance between the outer eye corners, as usual.

test, train = slice(0, 80), torch.arange(80, len(faces))
eyes = normaliser(truth[test].numpy(), layout.ids, "inter_ocular")


def errors(pos):
    """Error of every landmark [N, L] of the test faces, in percent of the distance of the eye corners."""
    return landmark_errors(pos.numpy(), truth[test].numpy(), eyes)


print(f"x_0: {nme(errors(initial[test])):.2f} %")

# %%
# The cascade
# -----------
# Three steps of two graph layers. The windows are a quarter of the map wide in the first step, then an eighth, then a
# sixteenth. In each step a landmark moves by at most half of its window along each axis.

cascade = SPIGACascade(
    num_landmarks=len(layout),
    feature_channels=features.size(1),
    num_steps=3,
    num_layers=2,
    heads=4,
    conv="attention",  # or gcn, gat, gatv2, sage, gin, transformer, none, or a function of your own
    node_channels=64,
    hidden_channels=64,
    samples=4,
)
print(f"{sum(p.numel() for p in cascade.parameters()):,} parameters")

# %%
# Training
# --------
# The loss is the distance to the true landmarks, summed over the steps. With ``detach_steps`` no gradient flows from
# one step to the one before: each step learns to correct its own input, and training is faster.

EPOCHS, BATCH = 16, 16
optimizer = torch.optim.AdamW(cascade.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=EPOCHS * (len(train) // BATCH))
annotated = torch.ones(BATCH, len(layout), dtype=torch.bool)
losses, test_errors = [], []
for _ in range(EPOCHS):
    cascade.train()
    for rows in train[torch.randperm(len(train))].split(BATCH):
        out = cascade(initial[rows], features[rows], detach_steps=True)
        loss = cascade_loss(out.steps, truth[rows], annotated)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    cascade.eval()
    with torch.no_grad():
        found = cascade(initial[test], features[test])
    test_errors.append([nme(errors(pos)) for pos in found.steps])

print("x_1, x_2, x_3: " + ", ".join(f"{error:.2f} %" for error in test_errors[-1]))
print(f"{time.perf_counter() - started:.0f} s so far")

# %%
# The curves: the loss on the training faces, and the errors on the test faces.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.semilogy(losses, linewidth=1.2)
left.set(title="training loss", xlabel="batch")
for step, curve in enumerate(zip(*test_errors, strict=True), start=1):
    right.plot(range(1, EPOCHS + 1), curve, marker=".", label=f"$x_{step}$")
right.axhline(nme(errors(initial[test])), color="grey", linestyle="--", label="$x_0$, where it starts")
right.set(title="error on test faces, % of the eye corners' distance", xlabel="epoch", ylim=(0, None))
right.legend()
# %%
# Before and after
# ----------------
# Top row: x_0; bottom row: the landmarks found, x_3. Blue circles are true, orange crosses predicted. The test faces
# are the one with the smallest error, two from the middle, and the one with the largest.

of_face = torch.tensor(face_errors(errors(found.pos)))
order = of_face.argsort()
shown = order[[0, len(order) // 3, 2 * len(order) // 3, -1]]

figure, axes = plt.subplots(2, 4, figsize=(12, 6.6), layout="constrained")
for row, guess in zip(axes, (initial[test], found.pos), strict=True):
    in_percent = face_errors(errors(guess))
    for ax, index in zip(row, shown.tolist(), strict=True):
        show_photo(ax, images[index])
        for pos, color, marker in ((truth[index], TRUTH, "o"), (guess[index], FOUND, "x")):
            draw_landmarks(ax, FaceData(pos=config.image_size * pos), layout, color=color, marker=marker)
        ax.set_title(f"{in_percent[index]:.1f} %")
axes[0, 0].annotate("$x_0$", (-0.08, 0.5), xycoords="axes fraction", rotation=90, fontsize=14)
axes[1, 0].annotate("$x_3$", (-0.08, 0.5), xycoords="axes fraction", rotation=90, fontsize=14)

# %%
# What this shows, and what it does not
# -------------------------------------
# It shows that the cascade is a layer like any other: positions and a feature map in, better positions out, trained
# in a few lines. The first step gains most, because it corrects the expression.
#
# It says nothing about real faces. Synthetic ones have sharp contours and no beards, and their few deformations can be
# learnt from 320 of them. Nor does it show that *attention* is the reason: try ``conv="none"`` above, which sends no
# messages. :doc:`/auto_tutorials/plot_06_swap_the_convolution` does that, and :doc:`/ablation` measures whether and
# when messages help on real faces.
#
# Next: ``pyspiga-geo train --config synthetic_quickstart --out runs/quickstart`` also trains a backbone on synthetic
# faces; :doc:`/training` explains how, and how to train on faces of your own.

print(f"{time.perf_counter() - started:.0f} s in all")
