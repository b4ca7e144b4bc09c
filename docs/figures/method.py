"""The method in one figure: image, pose, x_0, and the steps of the cascade, on a photo that ships with scikit-image."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch
from skimage.data import astronaut

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.geometry import transform_points, warp_image
from pyspiga_geo.visualization import draw_landmarks, draw_pose, draw_windows, show_photo

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


aligner = FaceAligner("compact", views=1)
config, layout = aligner.model.config, aligner.layout
photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
(face,) = aligner(photo)

size = config.image_size
crop = warp_image(photo, face.crop, size)
seen = FaceData(  # the face in pixels of the crop
    initial=transform_points(face.initial, face.crop),
    steps=transform_points(face.steps.flatten(0, 1), face.crop).view_as(face.steps),
    windows=face.windows * face.crop[0, 0],
    pose=face.pose,
    camera=face.crop @ face.camera,
)
shapes = [seen.initial, *seen.steps.unbind(dim=1)]

figure, axes = plt.subplots(2, 3, figsize=(11, 7.1))
figure.subplots_adjust(left=0.06, right=0.99, bottom=0.01, top=0.95, wspace=0.26, hspace=0.12)
image, pose, initial, *steps = axes.flat
for ax in axes.flat:
    show_photo(ax, crop, 1.0 if ax in (image, pose) else 0.55)
    ax.set_xlim(-0.5, size - 0.5)
    ax.set_ylim(size - 0.5, -0.5)
image.set_title(f"image: {size} x {size} pixels around a face")
draw_pose(pose, seen, layout, label=True)
pose.set_title("pose: yaw {:.0f}°, pitch {:.0f}°, roll {:.0f}°".format(*face.pose[:3].tolist()))
draw_landmarks(initial, FaceData(pos=shapes[0]), layout)
initial.set_title("$x_0$: the rigid face, under that pose")
for number, ax in enumerate(steps, start=1):
    draw_landmarks(ax, FaceData(pos=shapes[number]), layout)
    draw_windows(ax, seen, SHOWN, step=number)
    moved = (shapes[number] - shapes[number - 1]).norm(dim=1).mean()
    ax.set_title(f"$x_{number}$: moved {moved:.1f} px on average")

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
