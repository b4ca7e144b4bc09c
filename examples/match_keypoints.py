"""Attention between two sets: which keypoint of one picture is which of another.

    python examples/match_keypoints.py --out match        # under a minute

A table with 24 things on it is seen twice: turned, each thing moved a little, and with eight more among them. There are
only nine kinds of things, so the patch around a keypoint does not tell which is which; how they lie to each other does.
Keypoints attend to those of their own picture and, given as `(x_src, x_dst)`, to those of the other; the attention of
the last layer is the matching. To compare: the nearest patch, and the nearest patch and place. Writes `match.png`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor, nn

from pyspiga_geo.nn import GraphBlock, LandmarkAttention, NodeMLP, make_conv, sample_windows
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.visualization import save_figure

SIZE, PATCH, GAP = 96, 9, 4  # pixels
THINGS, MORE = 24, 8
CHANNELS = 64
PLACE_WEIGHT = 4.0
"""What a distance in place counts against one in patches: tried out, the best for the baseline."""

Pair = tuple[Tensor, Tensor]
"""Of the left and the right: pictures [B, 1, S, S], or keypoints [B, 24, 2] and [B, 32, 2] in parts of the picture."""


class MatchLayer(nn.Module):
    """Messages within each picture, then between the two."""

    def __init__(self) -> None:
        super().__init__()
        self.within = GraphBlock(CHANNELS, CHANNELS, make_conv("attention", heads=4, scale=True), "layer_norm")
        self.between = LandmarkAttention((CHANNELS, CHANNELS), CHANNELS, heads=4, scale=True)
        self.update = NodeMLP([2 * CHANNELS, 2 * CHANNELS, CHANNELS], "layer_norm")

    def forward(self, left: Tensor, right: Tensor) -> Pair:
        left, right = self.within(left), self.within(right)
        to_left, to_right = self.between((right, left)), self.between((left, right))  # (x_src, x_dst)
        left = left + self.update(torch.cat([left, to_left], dim=-1))
        right = right + self.update(torch.cat([right, to_right], dim=-1))
        return left, right


class Matcher(nn.Module):
    """For each keypoint on the left a distribution over those on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = NodeMLP([PATCH**2, CHANNELS, CHANNELS], "layer_norm")
        self.place = NodeMLP([2, CHANNELS, CHANNELS], "layer_norm")
        self.layers = nn.ModuleList(MatchLayer() for _ in range(3))
        self.match = LandmarkAttention((CHANNELS, CHANNELS), CHANNELS, scale=True)

    def forward(self, pictures: Pair, keypoints: Pair) -> Tensor:
        """[B, 24, 32], rows sum to 1."""
        looks = [self.patch(each) for each in patches(pictures, keypoints)]
        left, right = (look + self.place(pos) for look, pos in zip(looks, keypoints, strict=True))
        for layer in self.layers:
            left, right = layer(left, right)
        _, attention = self.match((right, left), return_attention_weights=True)
        return attention[:, 0]  # of the only head


def patches(pictures: Pair, keypoints: Pair) -> list[Tensor]:
    """What is around the keypoints of each picture [B, L, 81], with mean 0 and deviation 1."""
    seen = [sample_windows(*each, PATCH / SIZE, PATCH)[:, 0] for each in zip(pictures, keypoints, strict=True)]
    return [(x - x.mean(dim=-1, keepdim=True)) / (x.std(dim=-1, keepdim=True) + 1e-3) for x in seen]


def draw_pair(rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Two pictures of a table, their keypoints, and which on the right each on the left is."""
    pos = np.empty((0, 2))
    while len(pos) < THINGS + MORE:
        place = rng.uniform(0.08, 0.92, 2)
        if (np.linalg.norm(pos - place, axis=1) > 0.09).all():
            pos = np.vstack([pos, place])
    kinds = rng.integers(0, 9, len(pos))
    angle, zoom = rng.uniform(-0.6, 0.6), rng.uniform(0.75, 0.95)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (pos - 0.5) @ turn + 0.5 + rng.uniform(-0.08, 0.08, 2) + rng.normal(0, 0.012, pos.shape)
    order = rng.permutation(len(pos))
    left, right = paint(pos[:THINGS], kinds, rng), paint(moved, kinds, rng)
    tensors = (torch.from_numpy(each).float() for each in (left, right, pos[:THINGS], moved[order]))
    return *tensors, torch.from_numpy(order.argsort()[:THINGS])


def paint(pos: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture [1, S, S] of discs, squares and triangles in three shades of grey."""
    cloth = Image.fromarray(rng.integers(110, 180, (6, 6)).astype(np.uint8))
    canvas = cloth.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    for (x, y), kind in zip(pos * SIZE, kinds, strict=False):
        sides, shade = (30, 4, 3)[kind % 3], (0, 70, 255)[kind // 3]
        ImageDraw.Draw(canvas).regular_polygon((x, y, 4), sides, fill=shade)
    return np.asarray(canvas)[None] / 255 + rng.normal(0, 0.04, (1, SIZE, SIZE))


def draw_pairs(number: int, rng: np.random.Generator) -> tuple[Pair, Pair, Tensor]:
    """Pictures, keypoints, and which on the right each on the left is [N, 24]."""
    columns = zip(*(draw_pair(rng) for _ in range(number)), strict=True)
    left, right, pos, other, truth = (torch.stack(each) for each in columns)
    return (left, right), (pos, other), truth


def save_matches(path: Path, pictures: Pair, keypoints: Pair, truth: Tensor, found: dict[str, Tensor]) -> None:
    """Draw two tables with what each method matches."""
    figure = Figure(figsize=(13.5, 5), dpi=100, layout="constrained")
    for column, (name, matched) in zip(figure.subplots(2, len(found)).T, found.items(), strict=True):
        for index, ax in enumerate(column):
            both = [F.pad(each[index, 0], (0, GAP), value=1) for each in pictures]
            ax.imshow(torch.cat(both, dim=1)[:, :-GAP], cmap="gray")
            other = keypoints[1][index, matched[index]] + torch.tensor([1 + GAP / SIZE, 0])
            ends = SIZE * torch.stack([keypoints[0][index], other])  # [2, 24, 2]
            right = matched[index] == truth[index]
            ax.plot(*ends[:, right].permute(2, 0, 1), "o-", color="#56b4e9", linewidth=1.2, markersize=3)
            ax.plot(*ends[:, ~right].permute(2, 0, 1), "x--", color="#e69f00", linewidth=1.2, markersize=5)
            ax.set_title(f"{name}: {right.sum()} of {THINGS}", fontsize=10)
            ax.set_axis_off()
    figure.suptitle("blue: right, orange and dashed: wrong")
    save_figure(path, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--steps", type=int, default=250, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed_everything(options.seed)
    rng = np.random.default_rng(options.seed)
    pictures, keypoints, truth = draw_pairs(min(32 * options.steps, 1000), rng)
    model = Matcher()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=options.steps)
    for step in range(1, options.steps + 1):
        some = torch.randint(len(truth), (32,))
        matching = model(*([each[some] for each in pair] for pair in (pictures, keypoints)))
        loss = F.nll_loss((matching + 1e-6).log().flatten(0, 1), truth[some].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)

    pictures, keypoints, truth = draw_pairs(min(16 * options.steps, 100), rng)
    looks = torch.cdist(*patches(pictures, keypoints)) / PATCH  # [B, 24, 32]
    places = torch.cdist(*keypoints)
    with torch.no_grad():
        found = {
            "nearest patch": looks.argmin(dim=-1),
            "nearest patch and place": (looks + PLACE_WEIGHT * places).argmin(dim=-1),
            "attention": model.eval()(pictures, keypoints).argmax(dim=-1),
        }
    shares = ", ".join(f"{name} {100 * (each == truth).float().mean():.1f} %" for name, each in found.items())
    print(f"right matches in {len(truth)} new pairs: {shares}")
    save_matches(options.out / "match.png", pictures, keypoints, truth, found)
    print(f"drawn into {options.out / 'match.png'}")


if __name__ == "__main__":
    main()
