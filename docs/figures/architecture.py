"""One photo's path through the package: what is computed, in which file, with which shapes."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#5a6270"
STAGES = (
    ("photo", "data/photos.py", "[3, H, W]", GREY),
    ("boxes", "inference/detector.py", "[N, 4]", GREY),
    ("crops", "inference/crops.py", "[B, 3, S, S]", GREY),
    ("backbone", "backbones/multitask_hourglass.py", "pose [B, 6], maps [B, C, S/4, S/4]", BLUE),
    ("start: $x_0$", "models/start.py", "[B, L, 2]", BLUE),
    ("cascade: $x_1 ... x_K$", "nn/cascade.py", "[B, L, 2] per step", BLUE),
    ("FaceData", "inference/aligner.py", "pos [L, 2] in photo pixels", GREY),
)
STEP = (
    ("window", "nn/visual_window.py"),
    ("position", "nn/position.py"),
    ("messages", "nn/graph_block.py, nn/landmark_attention.py"),
    ("bounded move", "nn/step_regressor.py"),
)


def box(ax: Axes, x: float, y: float, texts: tuple[str, str, str], color: str, width: float, height: float) -> None:
    """A box with a title, a file and a shape."""
    patch = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02", facecolor=color, edgecolor="none")
    ax.add_patch(patch)
    title, file, shape = texts
    lines = [(title, 12, "bold", 0.74), (file, 9.5, "normal", 0.42), (shape, 9.5, "normal", 0.16)]
    for text, size, weight, place in lines if shape else lines[:2]:
        at = y + height * (place if shape else place - 0.06)
        ax.text(x + width / 2, at, text, color="white", fontsize=size, weight=weight, ha="center", va="center")


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one box to the next."""
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 2, "mutation_scale": 16})


figure, ax = plt.subplots(figsize=(8.2, 8.4), layout="constrained")
for row, (title, file, shape, color) in enumerate(STAGES):
    box(ax, 0, -1.2 * row, (title, file, shape), color, 3.6, 0.9)
    if row:
        arrow(ax, (1.8, -1.2 * (row - 1) - 0.03), (1.8, -1.2 * row + 0.93))
for row, (title, file) in enumerate(STEP):
    box(ax, 4.5, -1.2 * (row + 3), (title, file, ""), ORANGE, 3.7, 0.9)
    if row:
        arrow(ax, (6.35, -1.2 * (row + 2) - 0.03), (6.35, -1.2 * (row + 3) + 0.93))
ax.text(6.35, -2.45, "one step of the cascade", color=ORANGE, fontsize=12, weight="bold", ha="center")
for start, end in ((-5.12, -2.72), (-6.0, -7.18)):
    ax.plot([3.65, 4.42], [start, end], color=ORANGE, linestyle=":", linewidth=2)
ax.set_xlim(-0.1, 8.3)
ax.set_ylim(-7.35, 1.0)
ax.set_axis_off()
