"""The cascade as a layer of another model: the ten corners of a star, found over a small network's own features.

    python examples/use_cascade_in_your_model.py --out star

Nothing here is a face: no layout, no rigid 3-D shape, no head pose. A few convolutions make a feature map, the mean
shape is where the cascade starts, and both are trained together on drawn stars, in about a minute. Writes `stars.png`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor, nn

from pyspiga_geo import SPIGACascade
from pyspiga_geo.nn import CascadeOutput
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss
from pyspiga_geo.visualization import save_figure

SIZE = 64
CORNERS = 10


class StarModel(nn.Module):
    """A feature map, and a cascade that walks over it from the mean shape."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2, dilation=2), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.cascade = SPIGACascade(
            num_landmarks=CORNERS, feature_channels=32, num_layers=2,
            window=0.5, node_channels=64, hidden_channels=64, samples=5, scale=True,
        )  # fmt: skip
        self.register_buffer("mean_shape", outline())

    def forward(self, images: Tensor) -> CascadeOutput:
        """Corners [B, 10, 2] of stars in images [B, 3, S, S], in parts of the picture."""
        start = self.mean_shape.expand(len(images), -1, -1)
        return self.cascade(start, self.features(images), detach_steps=True)


def outline() -> Tensor:
    """Corners [10, 2] of an upright star in parts of the picture, (x, y), outer and inner ones in turn."""
    angle = torch.arange(CORNERS) * (2 * torch.pi / CORNERS)
    radius = torch.where(torch.arange(CORNERS) % 2 == 0, 0.32, 0.14)
    return 0.5 + torch.stack([radius * angle.sin(), -radius * angle.cos()], dim=1)


def draw_stars(number: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pictures [N, 3, S, S] of bent stars before clutter, and their corners [N, 10, 2]."""
    angle, zoom = rng.uniform(-0.4, 0.4, number), rng.uniform(0.75, 1.15, number)
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    corners = (outline().numpy() - 0.5) @ (zoom[:, None, None] * turn).transpose(0, 2, 1) + 0.5
    corners += rng.uniform(-0.1, 0.1, (number, 1, 2)) + rng.normal(0, 0.012, corners.shape)
    pictures = np.empty((number, SIZE, SIZE, 3), dtype=np.uint8)
    for index in range(number):
        coarse = rng.integers(0, 140, (4, 4, 3)).astype(np.uint8)
        canvas = Image.fromarray(coarse).resize((2 * SIZE, 2 * SIZE), Image.Resampling.BICUBIC)
        points = [(x, y) for x, y in (corners[index] * SIZE + 0.5) * 2 - 0.5]  # drawn twice as large
        ImageDraw.Draw(canvas).polygon(points, fill=tuple(rng.integers(110, 256, 3).tolist()))
        pictures[index] = np.asarray(canvas.reduce(2))
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    return images, torch.from_numpy(corners).float()


def pixels(pos: Tensor, truth: Tensor) -> float:
    """Mean distance in pixels."""
    return SIZE * (pos - truth).norm(dim=-1).mean().item()


def save_stars(path: Path, images: Tensor, truth: Tensor, path_of: list[Tensor]) -> None:
    """Draw stars with the way of their corners from the mean shape, dashed, to where the last step left them."""
    figure = Figure(figsize=(10, 5.4), dpi=100, layout="constrained")
    for index, ax in enumerate(figure.subplots(2, 4).flat):
        ax.imshow(images[index].permute(1, 2, 0).numpy())
        walk = SIZE * torch.stack([pos[index] for pos in path_of])  # [K + 1, 10, 2]
        ax.plot(*walk.permute(2, 0, 1).numpy(), color="white", linewidth=1.2)
        shapes = ((path_of[0], "--", "white"), (truth, "o-", "#56b4e9"), (path_of[-1], "x-", "#e69f00"))
        for pos, style, colour in shapes:
            closed = SIZE * torch.cat([pos[index], pos[index, :1]])
            ax.plot(*closed.T.numpy(), style, color=colour, markerfacecolor="none", linewidth=1.2)
        ax.set_axis_off()
    figure.suptitle("white: start and steps, blue circles: true, orange crosses: found")
    save_figure(path, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--steps", type=int, default=600, help="training steps (default: %(default)s)")
    options = parser.parse_args()
    seed_everything(0)
    rng = np.random.default_rng(0)
    model = StarModel()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=options.steps)
    for step in range(1, options.steps + 1):
        images, truth = draw_stars(32, rng)
        out = model(images)
        loss = cascade_loss(out.steps, truth, torch.ones(truth.shape[:2], dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: {pixels(out.pos, truth):.2f} pixels", flush=True)

    images, truth = draw_stars(100, rng)
    with torch.no_grad():
        out = model.eval()(images)
    start = model.mean_shape.expand_as(truth)
    after = ", ".join(f"{pixels(pos, truth):.2f}" for pos in out.steps)
    print(f"100 new stars: {pixels(start, truth):.2f} pixels at the start; after each step of the cascade {after}")
    save_stars(options.out / "stars.png", images, truth, [start, *out.steps])
    print(f"drawn into {options.out / 'stars.png'}")


if __name__ == "__main__":
    main()
