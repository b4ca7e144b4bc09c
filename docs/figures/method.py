"""The method in one figure: image, pose, x_0, and the steps of the cascade, on a photo that ships with scikit-image."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import ConnectionPatch, Rectangle
from skimage.data import astronaut
from torch import Tensor

from pyspiga_geo import FaceAligner
from pyspiga_geo.geometry import transform_points, warp_image
from pyspiga_geo.visualization import draw_landmarks, draw_pose, show_photo

SHOWN = (8, 30, 36, 45, 54)  # chin, tip of the nose, outer eye corners, left corner of the mouth
BLUE = "tab:blue"


def arrow(start: Axes, end: Axes, text: str) -> None:
    """Join two panels of a row and say what happens between them."""
    patch = ConnectionPatch(
        (1.03, 0.5),
        (-0.03, 0.5),
        "axes fraction",
        axesA=start,
        axesB=end,
        arrowstyle="-|>",
        mutation_scale=20,
    )
    patch.set(color=BLUE, linewidth=2.5)
    start.figure.add_artist(patch)
    start.annotate(text, (1.13, 0.53), xycoords="axes fraction", ha="center", va="bottom", color=BLUE, fontsize=10.5)


def step_panel(ax: Axes, before: Tensor, after: Tensor, window: float, number: int) -> None:
    """Where one step sent the landmarks [L, 2], and the windows through which a few of them looked."""
    ax.add_collection(LineCollection(torch.stack([before, after], dim=1).numpy(), colors="white", linewidths=1.2))
    for x, y in before[list(SHOWN)].tolist():
        corner = (x - window / 2, y - window / 2)
        ax.add_patch(Rectangle(corner, window, window, fill=False, edgecolor="#ffd166", linewidth=1.3))
    moved = (after - before).norm(dim=1).mean()
    ax.set_title(f"$x_{number}$: moved {moved:.1f} px on average")


aligner = FaceAligner()
config, layout = aligner.model.config, aligner.layout
photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
(face,) = aligner(photo)

size = config.image_size
crop = warp_image(photo, face.crop, size)
shapes = [transform_points(shape, face.crop) for shape in (face.initial, *face.steps.unbind(dim=1))]
face.camera = face.crop @ face.camera  # as the crop's pixels see it

figure, axes = plt.subplots(2, 3, figsize=(11, 7.1))
figure.subplots_adjust(left=0.06, right=0.99, bottom=0.01, top=0.95, wspace=0.26, hspace=0.12)
image, pose, initial, *steps = axes.flat
for ax in axes.flat:
    show_photo(ax, crop, 1.0 if ax in (image, pose) else 0.55)
    ax.set_xlim(-0.5, size - 0.5)
    ax.set_ylim(size - 0.5, -0.5)
face_size = float((shapes[-1].amax(dim=0) - shapes[-1].amin(dim=0)).max())

image.set_title(f"image: {size} x {size} pixels around a face")
draw_pose(pose, face, torch.tensor(layout.shape3d), face_size, label=True)
pose.set_title("pose: yaw {:.0f}°, pitch {:.0f}°, roll {:.0f}°".format(*face.pose[:3].tolist()))
draw_landmarks(initial, shapes[0], layout, face_size)
initial.set_title("$x_0$: the rigid face, under that pose")
for number, ax in enumerate(steps, start=1):
    draw_landmarks(ax, shapes[number], layout, face_size)
    step_panel(ax, shapes[number - 1], shapes[number], config.window * size / 2 ** (number - 1), number)

pose.legend(loc="lower left", fontsize=7)
arrow(image, pose, "backbone")
arrow(pose, initial, "project")
arrow(steps[0], steps[1], "step 2")
arrow(steps[1], steps[2], "step 3")
steps[0].annotate("step 1", (-0.14, 0.53), xycoords="axes fraction", ha="center", color=BLUE, fontsize=10.5)
steps[0].annotate(
    "",
    (-0.03, 0.5),
    (-0.2, 0.5),
    "axes fraction",
    arrowprops={"arrowstyle": "-|>", "mutation_scale": 20, "color": BLUE, "linewidth": 2.5},
)
