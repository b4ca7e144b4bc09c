"""
Export and deploy
=================

A trained model has to run somewhere: in a service, in another program, on a machine without this package. This tutorial
optimises the compact model, measures the gain, exports the model to one file, and runs the file with nothing
but PyTorch.
"""

import importlib.util
import json
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from skimage.data import astronaut

from pyspiga_geo import SPIGA, FaceAligner, FaceData
from pyspiga_geo.geometry import invert_transform, square_crop, transform_points, warp_image
from pyspiga_geo.inference.export import export_model
from pyspiga_geo.visualization import FOUND, TRUTH, draw_landmarks, show_photo, zoom_to_face

torch.set_grad_enabled(False)
photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255

# %%
# Ready to run
# ------------
# :meth:`~pyspiga_geo.SPIGA.optimize` returns a copy that computes the same landmarks in fewer operations: batch norm is
# folded into the layers before it, heads that only training uses are left out, and maps have the memory layout that
# most kernels prefer. ``trace=True`` records the operations at the 20th call and replays them without Python. An
# aligner that loads a model by name does all this by itself.

model = SPIGA.from_pretrained("compact")
(face,) = FaceAligner(model)(photo)
size = model.config.image_size
crops = warp_image(photo, face.crop, size)[None]


def milliseconds(run, times=5):
    """Least time of a call, once the model is recorded."""
    for _ in range(25):
        run()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun)
    return 1e3 * min(taken)


expected = model(crops).landmarks
for name, fast in (
    ("as it was trained", model),
    ("folded", model.optimize(drop_heads=False, channels_last=False)),
    ("folded, heads dropped, channels last", model.optimize()),
    ("the same, traced", model.optimize(trace=True)),
):
    off = (fast(crops).landmarks - expected).abs().max()
    print(f"{name:38} {milliseconds(lambda fast=fast: fast(crops)):6.1f} ms per face, off by {size * off:.1e} px")
print(f"on {torch.get_num_threads()} thread(s) of the machine that built this page")

# %%
# How much time this saves depends on the processor, and on what else runs on it. :doc:`/speed` has more options.
#
# One file
# --------
# ``export_model`` writes the whole model as a graph of tensor operations, for batches of any size. Files for
# :func:`torch.export.load` end in ``.pt2``. For other runtimes there is ONNX, which needs the extra ``onnx``
# and is used in the same way. On the command line: ``pyspiga-geo export``.

folder = Path(tempfile.mkdtemp())
export_model(model, folder / "compact.pt2", format="torch-export")
print(f"compact.pt2: {(folder / 'compact.pt2').stat().st_size / 1e6:.1f} MB")
if importlib.util.find_spec("onnxscript") and importlib.util.find_spec("onnxruntime"):
    export_model(model, folder / "compact.onnx")
    (same,) = FaceAligner(folder / "compact.onnx")(photo, [face.bbox.tolist()])
    print(f"compact.onnx in onnxruntime: largest difference {(same.pos - face.pos).abs().max():.1e} px")
else:
    print("no ONNX here: pip install 'pyspiga-geo[onnx]'")

# %%
# Somewhere else
# --------------
# From here on the model runs without the package. The file's metadata, JSON texts, hold what the graph does not.

extra = {"metadata.json": ""}
graph = torch.export.load(folder / "compact.pt2", extra_files=extra).module()
metadata = {name: text for name, text in json.loads(extra["metadata.json"]).items() if name != "format"}
metadata = {name: json.loads(text) for name, text in metadata.items()}
for name in ("version", "image_size", "crop_scale", "channel_order"):
    print(f"{name:14} {metadata[name]}")
print(f"layout         {metadata['layout']['name']}, {len(metadata['layout']['ids'])} landmarks")

# %%
# The caller has to cut the crop: a square around the centre of the face's box, ``crop_scale`` times as wide as the
# box's longer side, sampled at ``image_size`` x ``image_size`` pixels. Landmarks are returned in normalised crop
# coordinates: multiplied by ``image_size`` they are pixels of the crop, and the inverse of the crop's matrix maps these
# to the photo. The functions of :mod:`pyspiga_geo.geometry` used for this are short, should you have to write them in
# another language.

crop = square_crop(face.bbox, metadata["image_size"], metadata["crop_scale"])
images = warp_image(photo, crop, metadata["image_size"])[None]
out = graph(images)
print({name: list(value.shape) for name, value in out.items()})
found = transform_points(metadata["image_size"] * out["landmarks"][0], invert_transform(crop))
print(f"largest difference from the aligner {(found - face.pos).abs().max():.1e} px")
assert torch.allclose(found, face.pos, atol=0.05)

batch = graph(images.expand(5, -1, -1, -1))["landmarks"]  # any number of crops
assert torch.allclose(batch, out["landmarks"].expand_as(batch), atol=1e-4)

figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
zoom_to_face(show_photo(ax, photo), face, margin=0.15)
draw_landmarks(ax, face, model.layout, color=TRUTH, label="the package")
draw_landmarks(ax, FaceData(pos=found), model.layout, color=FOUND, marker="x", label="the exported file")
ax.legend(loc="lower left")

# %%
# An exported file does not support attention, intermediate steps, or graphs other than the complete one. For these
# use the weights file. Half precision, ``torch.compile`` and GPUs: :doc:`/speed`.
