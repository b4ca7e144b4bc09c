"""Landmarks in volumes: the joints of a drawn skeleton, found in three dimensions by the same cascade as in pictures.

    python examples/landmarks_in_volumes.py --out volumes        # under a minute

A wrist, two knuckles and four finger tips are joined by bright tubes, in noise and in thick slices as scanners make
them. A few 3-D convolutions make a feature volume [B, C, D, H, W], and `SPIGACascade(dim=3)` walks over it from the
mean shape, with positions (x, y, z). To compare: the mean shape itself, and a ridge regression of all coordinates from
the coarse volume, fitted to the same skeletons. Writes `volumes.png`.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from pyspiga_geo import SPIGACascade
from pyspiga_geo.nn import CascadeOutput
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss
from pyspiga_geo.visualization import save_figure

VOXELS = (20, 32, 32)  # D, H, W: the slices are thicker than the pixels are wide
SIDE = 40.0  # of the cube that they fill, in millimetres
JOINTS = torch.tensor(
    [
        (0.50, 0.82, 0.50), (0.38, 0.58, 0.44), (0.62, 0.58, 0.56),  # wrist, knuckles
        (0.22, 0.34, 0.36), (0.42, 0.24, 0.52), (0.60, 0.22, 0.66), (0.78, 0.36, 0.54),  # tips
    ]
)  # fmt: skip
BONES = torch.tensor([(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)])
STYLES = (
    {"color": "white", "linestyle": "--", "linewidth": 1.2},
    {"color": "#56b4e9", "marker": "o", "markersize": 8, "linewidth": 1.2},
    {"color": "#e69f00", "marker": "x", "markersize": 7, "linewidth": 1.2},
)


class SkeletonModel(nn.Module):
    """A feature volume, and a cascade that walks over it from the mean shape."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, 8, 3, stride=2, padding=1), nn.BatchNorm3d(8), nn.ReLU(),
            nn.Conv3d(8, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU(),
            nn.Conv3d(16, 16, 3, padding=2, dilation=2), nn.BatchNorm3d(16), nn.ReLU(),
        )  # fmt: skip
        self.cascade = SPIGACascade(
            len(JOINTS), feature_channels=16, num_layers=2, dim=3,
            window=0.5, node_channels=64, hidden_channels=64, samples=4, scale=True,
        )  # fmt: skip
        self.register_buffer("mean_shape", JOINTS.clone())

    def forward(self, volumes: Tensor) -> CascadeOutput:
        """Joints [B, 7, 3] in volumes [B, 1, D, H, W], (x, y, z) in parts of the cube."""
        return self.cascade(self.mean_shape[None], self.features(volumes), detach_steps=True)


def draw_skeletons(number: int) -> tuple[Tensor, Tensor]:
    """Volumes [N, 1, D, H, W] with a bent skeleton in noise, and its joints [N, 7, 3]."""
    skew = 0.2 * torch.randn(number, 3, 3)
    turn = torch.linalg.matrix_exp(skew - skew.mT)
    joints = (JOINTS - 0.5) * (0.8 + 0.3 * torch.rand(number, 1, 1)) @ turn + 0.5
    joints = joints + 0.2 * (torch.rand(number, 1, 3) - 0.5) + 0.025 * torch.randn(number, len(JOINTS), 3)
    share = torch.linspace(0, 1, 12)[:, None]
    start, end = joints[:, BONES, None].unbind(2)
    beads = (start + share * (end - start)).flatten(1, 2)  # a tube is a row of them
    z, y, x = (
        torch.exp(-(((torch.arange(size) / size - beads[..., axis, None]) / 0.035) ** 2))
        for axis, size in zip((2, 1, 0), VOXELS, strict=True)
    )
    tubes = torch.einsum("nkz,nky,nkx->nzyx", z, y, x).clamp(max=1)
    haze = F.interpolate(torch.rand(number, 1, 4, 4, 4), VOXELS, mode="trilinear")
    return tubes[:, None] + haze + 0.25 * torch.randn_like(haze), joints


def regress(volumes: Tensor, joints: Tensor, new: Tensor, ridge: float = 1.0) -> Tensor:
    """Joints of new volumes by least squares with a penalty, from 5 x 8 x 8 means of the volume."""
    seen, asked = (F.pad(F.avg_pool3d(each, 4).flatten(1), (0, 1), value=1) for each in (volumes, new))
    normal = seen.T @ seen + ridge * torch.eye(seen.size(1))
    return (asked @ torch.linalg.solve(normal, seen.T @ joints.flatten(1))).view(-1, *joints.shape[1:])


def millimetres(pos: Tensor, truth: Tensor) -> float:
    """Mean distance in space."""
    return SIDE * (pos - truth).norm(dim=-1).mean().item()


def save_volumes(path: Path, volumes: Tensor, truth: Tensor, start: Tensor, found: Tensor) -> None:
    """Draw some volumes as seen from the front and from above."""
    figure = Figure(figsize=(11, 5.9), dpi=100, layout="constrained")
    views = (
        ("front", 0, [0, 1]),
        ("top", 1, [0, 2]),
    )  # the axis of the volume looked along, the coordinates seen
    for row, (view, axis, coordinates) in zip(figure.subplots(2, 4), views, strict=True):
        for index, ax in enumerate(row):
            seen = volumes[index, 0].amax(dim=axis)
            down, across = (0.5 / size for size in seen.shape)
            ax.imshow(seen, cmap="gray", extent=(-across, 1 - across, 1 - down, -down))
            for pos, style in zip((start, truth, found), STYLES, strict=True):
                bones = pos[index][BONES.T][..., coordinates]  # [2, 6, 2]
                ax.plot(*bones.permute(2, 0, 1), markerfacecolor="none", **style)
            ax.set_axis_off()
            ax.set_title(f"skeleton {index + 1}, {view}", fontsize=9)
    figure.suptitle("dashed: start, blue circles: true, orange crosses: found")
    save_figure(path, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed_everything(options.seed)
    volumes, joints = draw_skeletons(min(16 * options.steps, 1000))
    model = SkeletonModel()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=options.steps)
    for step in range(1, options.steps + 1):
        some = torch.randint(len(volumes), (16,))
        out = model(volumes[some])
        loss = cascade_loss(out.steps, joints[some], torch.ones(out.pos.shape[:2], dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: {millimetres(out.pos, joints[some]):.2f} mm", flush=True)

    new, truth = draw_skeletons(100)
    start, linear = JOINTS.expand_as(truth), regress(volumes, joints, new)
    with torch.no_grad():
        out = model.eval()(new)
    after = ", ".join(f"{millimetres(pos, truth):.2f}" for pos in out.steps)
    print(
        f"100 new volumes: {millimetres(start, truth):.2f} mm at the start, {millimetres(linear, truth):.2f} by ridge "
        f"regression; after each step of the cascade {after}"
    )
    save_volumes(options.out / "volumes.png", new, truth, start, out.pos)
    print(f"drawn into {options.out / 'volumes.png'}")


if __name__ == "__main__":
    main()
