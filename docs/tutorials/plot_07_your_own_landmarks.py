"""
Your own landmarks, not a face
==============================

Nothing in the cascade is specific to faces. This tutorial finds seven landmarks of fish: it defines a layout, draws
pictures to train on, combines a small network and a cascade, trains both in about a minute, and uses the result on
a picture with two fish. The same steps work for hands, leaves, screws or satellites.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

from pyspiga_geo import SPIGA, FaceAligner, FaceData, Layout, SPIGACascade
from pyspiga_geo.backbones import BackboneOutput
from pyspiga_geo.evaluation import landmark_errors, nme, normaliser
from pyspiga_geo.models import MeanShape, SPIGAConfig
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss
from pyspiga_geo.visualization import (
    FOUND,
    TRUTH,
    draw_attention,
    draw_cascade,
    draw_landmarks,
    show_photo,
    zoom_to_face,
)

started = time.perf_counter()
seed_everything(0)
rng = np.random.default_rng(0)

# %%
# What there is to find
# ---------------------
# Seven points on a fish, in the order that all arrays keep from here on. The contours say which of them a drawing
# joins.

NAMES = ("mouth", "back", "root of the tail", "upper tip", "lower tip", "belly", "eye")
CONTOURS = {"body": (0, 1, 2, 5, 0), "tail": (2, 3, 4, 2)}
FISH = np.array([(-1.0, 0.0), (-0.15, -0.45), (0.65, 0.0), (1.0, -0.4), (1.0, 0.4), (-0.1, 0.4), (-0.6, -0.1)])
SIZE = 64
SCALE = SPIGAConfig().crop_scale  # a crop is this much wider than the box of the landmarks


def swim(number):
    """Shapes [N, 7, 2] of fish, bent, turned and stretched, y down, in centred boxes whose longer side is 1."""
    shapes = FISH * rng.uniform([0.85, 0.7], [1.15, 1.3], (number, 1, 2)) + rng.normal(0, 0.04, (number, 7, 2))
    shapes[..., 1] += rng.uniform(-0.25, 0.25, (number, 1)) * (shapes[..., 0] ** 2 - 0.5)
    angle = rng.uniform(-0.6, 0.6, number)
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    shapes = shapes @ turn
    low, high = shapes.min(axis=1, keepdims=True), shapes.max(axis=1, keepdims=True)
    return (shapes - (low + high) / 2) / (high - low).max(axis=2, keepdims=True)


def paint(width, height, fish):
    """A picture [3, H, W] of fish [n, 7, 2], in pixels, before murky water."""
    coarse = rng.integers(0, 130, (height // 12, width // 12, 3)).astype(np.uint8)
    canvas = Image.fromarray(coarse).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    for corners in fish:
        mouth, back, root, upper, lower, belly, eye = 2 * corners + 0.5  # drawn twice as large
        t = np.linspace(0, 1, 12)[:, None]
        sides = [
            (1 - t) ** 2 * mouth + 2 * t * (1 - t) * (2 * top - (mouth + root) / 2) + t**2 * root
            for top in (back, belly)
        ]
        colour = tuple(rng.integers(90, 256, 3).tolist())
        pen.polygon([tuple(point) for point in np.concatenate([sides[0], sides[1][::-1]])], fill=colour)
        pen.polygon([tuple(point) for point in (root, upper, lower)], fill=colour)
        x, y = eye
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(250, 250, 250), outline=(10, 10, 10))
    noisy = np.asarray(canvas.reduce(2)) / 255 + rng.normal(0, 0.03, (height, width, 3))
    return torch.from_numpy(noisy.clip(0, 1)).permute(2, 0, 1).float()


# %%
# A layout
# --------
# A layout is data: a name, an id for each landmark, contours. The mean shape, from which the cascade will start, can be
# estimated from annotations. (A rigid 3-D shape is estimated as well. These fish are flat and bent, so
# it means nothing, and it is not used here.) Errors will be measured in percent of the length from the mouth, id 201,
# to the root of the tail, id 203.

layout = Layout.from_annotations("fish", 100 * swim(200), contours=CONTOURS, normaliser=(201, 203))
print(layout.ids, layout.norm)
print(layout.mean_shape.round(2).tolist())

# %%
# Pictures
# --------
# Each training picture is a crop with a fish in the middle, at the size that a crop around its box would give. Position
# and size are jittered, since no detector's boxes are exact.


def crops(number):
    """Crops [N, 3, S, S] and landmarks [N, 7, 2] in normalised crop coordinates: pixel index / S."""
    pos = 0.5 + swim(number) / SCALE * rng.uniform(0.9, 1.1, (number, 1, 1)) + rng.uniform(-0.06, 0.06, (number, 1, 2))
    return torch.stack([paint(SIZE, SIZE, [SIZE * one]) for one in pos]), torch.from_numpy(pos).float()


images, truth = crops(700)
test_images, test_truth = crops(100)
figure, axes = plt.subplots(1, 5, figsize=(11, 2.4), layout="constrained")
for index, ax in enumerate(axes):
    show_photo(ax, images[index])
    draw_landmarks(ax, FaceData(pos=SIZE * truth[index]), layout, color=TRUTH)
print(f"{len(images)} pictures after {time.perf_counter() - started:.0f} s")

# %%
# A model
# -------
# A model has three parts. The backbone computes a feature map, here by four small convolutions; it estimates no pose.
# The start is the mean shape, the same for every fish. The cascade refines it. :class:`~pyspiga_geo.SPIGA` combines the
# three.


class Eyes(nn.Module):
    """A feature map [B, 32, S / 4, S / 4]."""

    channels, strides, image_size = (32,), (4,), SIZE

    def __init__(self):
        super().__init__()
        layers = [
            (nn.Conv2d(before, after, 3, stride, padding=dilation, dilation=dilation), nn.BatchNorm2d(after), nn.ReLU())
            for before, after, stride, dilation in ((3, 16, 2, 1), (16, 32, 2, 1), (32, 32, 1, 1), (32, 32, 1, 2))
        ]
        self.layers = nn.Sequential(*(layer for group in layers for layer in group))

    def forward(self, images, return_heatmaps=False):
        return BackboneOutput(pose=None, maps=[self.layers(images)], heatmaps=None)


cascade = SPIGACascade(
    num_landmarks=len(layout),
    feature_channels=32,
    num_steps=3,
    num_layers=2,
    window=0.5,
    node_channels=48,
    hidden_channels=48,
    samples=5,
    scale=True,
)
model = SPIGA(Eyes(), MeanShape(0.5 + layout.mean_shape / SCALE), cascade, layout)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# %%
# Training
# --------
# The mask of the loss is False for landmarks that are not annotated; here all are annotated.

STEPS, BATCH = 400, 24
optimizer = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=STEPS)
losses = []
for _ in range(STEPS):
    rows = torch.randint(len(images), (BATCH,))
    loss = cascade_loss(model(images[rows]).steps, truth[rows], torch.ones(BATCH, len(layout), dtype=torch.bool))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())

with torch.no_grad():
    out = model.eval()(test_images, return_attention=True)
unit = normaliser(test_truth.numpy(), layout.ids, layout.norm)
for name, pos in (("x_0, the mean shape", out.initial), *((f"x_{t}", pos) for t, pos in enumerate(out.steps, start=1))):
    print(f"{name:20} {nme(landmark_errors(pos.numpy(), test_truth.numpy(), unit)):5.2f} % of the length of a fish")
print(f"{time.perf_counter() - started:.0f} s so far")

# %%
# New fish. Above, the path from the mean shape; below, the true and the predicted landmarks.

figure, axes = plt.subplots(2, 5, figsize=(11, 4.6), layout="constrained")
found = out.to_data_list()
for index, (above, below) in enumerate(axes.T):
    fish = FaceData(pos=SIZE * found[index].pos, initial=SIZE * found[index].initial, steps=SIZE * found[index].steps)
    draw_cascade(show_photo(above, test_images[index], 0.7), fish, layout)
    show_photo(below, test_images[index])
    draw_landmarks(below, FaceData(pos=SIZE * test_truth[index]), layout, color=TRUTH)
    draw_landmarks(below, fish, layout, color=FOUND, marker="x")

# %%
# Pictures with several fish
# --------------------------
# :class:`~pyspiga_geo.FaceAligner` cuts crops, runs the model and maps the landmarks back. Its detector looks for
# faces, so here we give it boxes; any function from a picture to boxes can take the detector's place.

one, other = swim(2)
two_fish = np.stack([80 * one + (60, 60), 60 * other + (140, 85)])
picture = paint(192, 132, two_fish)
boxes = [[*low, *(high - low)] for low, high in zip(two_fish.min(axis=1), two_fish.max(axis=1), strict=True)]
shoal = FaceAligner(model)(picture, boxes, attention=True)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
show_photo(axes[0], picture)
for fish in shoal:
    draw_landmarks(axes[0], fish, layout, color=FOUND, marker="x")
for ax, fish in zip(axes[1:], shoal, strict=True):
    zoom_to_face(show_photo(ax, picture, 0.5), fish, margin=0.25)
    draw_attention(ax, fish, step=0, layer=0, strongest=12, colorbar=True)
    ax.set_title("step 0, layer 0: the 12 strongest edges")

# %%
# For annotated photos of your own you need no such loop: the package trains on annotation records.
# :doc:`/training` explains it, and ``examples/train_on_your_data.py`` shows it from drawing to weights file. A backbone
# of your own, such as this one, can be registered so that a model with it can be saved: :doc:`/extending`.

print(f"{time.perf_counter() - started:.0f} s in all")
