r"""
From the authors' weights to predictions
========================================

The authors of SPIGA publish trained weights, one file per dataset. This tutorial converts such a file, checks the
result, and predicts landmarks with it. The files are not part of this package: get ``spiga_wflw.pt`` from the
`authors' repository <https://github.com/andresprados/SPIGA>`_ and set the environment variable ``SPIGA_WEIGHTS`` to its
path.

.. warning::

    Without such a file, as perhaps on this page, the tutorial writes a file in the authors' format with *random*
    weights. Every step then runs as with the real file, but the landmarks are meaningless, and the last figure says so.
"""

import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from skimage.data import astronaut

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.geometry import square_crop, warp_image
from pyspiga_geo.models import reference, reference_model
from pyspiga_geo.visualization import draw_landmarks, draw_pose, show_photo, zoom_to_face

folder = Path(tempfile.mkdtemp())
given = os.environ.get("SPIGA_WEIGHTS")
trained = given is not None
if trained:
    weights = Path(given)
else:
    torch.manual_seed(0)
    weights = folder / "random_wflw.pt"
    stand_in = SPIGA.from_preset("reference", layout="wflw98")
    torch.save(reference.export(stand_in), weights)  # the authors' names, shapes and order of channels
print("the authors' weights" if trained else "NO WEIGHTS GIVEN: random ones, whose landmarks mean nothing")
print(f"{weights.name}: {weights.stat().st_size / 1e6:.0f} MB")

# %%
# What is in the file
# -------------------
# A state dict: names and tensors. ``weights_only=True`` opens the file without running code that a pickle may contain.

state = torch.load(weights, weights_only=True)
print(f"{len(state)} tensors")
for name in (
    "visual_cnn.pre.1.conv.weight",
    "pose_fc.weight",
    "conv_window.0.weight",
    "gcn.0.gat.0.attention.attn.proj.0.weight",
):
    print(f"{name:45} {list(state[name].shape)}")

# %%
# Convert it
# ----------
# :func:`~pyspiga_geo.models.reference_model` reads the number of landmarks off the weights, builds the preset
# ``reference`` for that layout, and converts every entry. Names change. Linear maps that the authors write as
# 1 x 1 convolutions become linear layers. The channels of the attention heads are reordered: the authors' code assigns
# channel c to head c mod 4, this package assigns a contiguous group to each head. If entries are unknown, missing or of
# the wrong shape, an error lists them. On the command line: ``pyspiga-geo convert spiga_wflw.pt
# spiga_wflw.safetensors``.

model = reference_model(weights)
model.save(folder / "spiga.safetensors")
print(f"{len(model.layout)} landmarks ({model.layout.name}), {sum(p.numel() for p in model.parameters()):,} parameters")

# %%
# Nothing was lost
# ----------------
# Converting back gives the tensors of the file that we started from. The authors' file also has constants, which are
# not learned.

back = reference.export(SPIGA.from_pretrained(folder / "spiga.safetensors"))
unequal = [name for name, value in back.items() if name in state and not torch.equal(value, state[name].view_as(value))]
print(f"{len(back)} tensors converted back, {len(unequal)} differ")
assert not unequal

# %%
# What the model returns
# ----------------------
# The model takes crops and returns tensors; positions are normalised crop coordinates.

photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
BOX = (177.0, 83.0, 94.0, 96.0)  # x, y, w, h of the face in pixels
size = model.config.image_size
crop = square_crop(torch.tensor(BOX), size, model.config.crop_scale)
with torch.no_grad():
    out = model(warp_image(photo, crop, size)[None], return_attention=True)
print(f"landmarks {list(out.landmarks.shape)}, pose {list(out.pose.shape)}, x_0 {list(out.initial.shape)}")
print(f"{len(out.steps)} steps, attention of {len(out.attention)} layers, each {list(out.attention[0].shape)}")

# %%
# Predict
# -------
# An aligner takes photos and returns faces in pixels of the photo. Boxes may be given, as here; otherwise the detector
# finds them.

(face,) = FaceAligner(model)(photo, [BOX])
yaw, pitch, roll = face.pose[:3].tolist()
print(f"yaw {yaw:.0f}, pitch {pitch:.0f}, roll {roll:.0f} degrees")

figure, ax = plt.subplots(figsize=(5, 5.2), layout="constrained")
zoom_to_face(show_photo(ax, photo, 1.0 if trained else 0.35), face, margin=0.4)
if trained:
    draw_pose(draw_landmarks(ax, face, model.layout), face, model.layout, label=True)
else:
    draw_landmarks(ax, face, model.layout, color="#d55e00", marker="x")
    ax.set_title("random weights: this shape means nothing", color="#d55e00", weight="bold")

# %%
# With the real file the landmarks agree with the authors' network to about 1e-11 in float64; the tests of this package
# compare them with stored outputs of the authors' code. :doc:`/paper_and_reference` lists where the paper and that code
# differ, and the option for each difference. Fine-tuning, converting back and refused files: :doc:`/weights`.
