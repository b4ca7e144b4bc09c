"""Graphs of different sizes: road maps that lie roughly over a picture, pulled onto the roads that it shows.

    python examples/graphs_of_different_sizes.py --out maps        # under a minute

A map has 5 to 12 crossings and roads of its own between them; about one crossing in ten is gone from the picture, and
`mask` leaves it out. Maps of all sizes go through one network as a PyG `Batch`: `SPIGACascade(None)` takes any number
of nodes, and with `position="pooled"` it needs no order among them. To compare: where the maps start, and the same
cascade without messages. The last line is of maps larger than any in training. Writes `maps.png`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

from pyspiga_geo import SPIGACascade
from pyspiga_geo.nn import CascadeOutput
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss
from pyspiga_geo.visualization import save_figure

SIZE = 64


class MapModel(nn.Module):
    """A feature map, and a cascade that walks over it from where the nodes of the graphs are."""

    def __init__(self, conv: str, position: str) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
        )  # fmt: skip
        self.cascade = SPIGACascade(
            None, feature_channels=24, num_layers=2, conv=conv, position=position,
            window=0.5, node_channels=64, hidden_channels=64, samples=6, scale=True,
        )  # fmt: skip

    def forward(self, maps: Batch) -> CascadeOutput:
        """Crossings [N, 2] of all maps, in parts of their pictures [B, 1, S, S]."""
        features = self.features(maps.image)
        return self.cascade(maps.pos, features, maps.edge_index, batch=maps.batch, mask=maps.mask, detach_steps=True)


def draw_map(number: int, rng: np.random.Generator) -> Data:
    """A map of so many crossings that is turned, shifted and bent, and the picture of its roads."""
    crossings = np.empty((0, 2))
    while len(crossings) < number:
        place = rng.uniform(0.14, 0.86, 2)
        if (np.linalg.norm(crossings - place, axis=1) > 0.13).all():
            crossings = np.vstack([crossings, place])
    truth = torch.from_numpy(crossings).float()
    near = torch.cdist(truth, truth).topk(3, largest=False).indices[:, 1:]  # two roads from each, or more
    roads = to_undirected(torch.stack([torch.arange(number).repeat_interleave(2), near.flatten()]))
    exists = torch.from_numpy(rng.random(number) > 0.1)

    coarse = Image.fromarray(rng.integers(0, 120, (5, 5)).astype(np.uint8))
    canvas = coarse.resize((2 * SIZE, 2 * SIZE), Image.Resampling.BICUBIC)
    shade = int(rng.integers(140, 256))
    for ends in roads.T[exists[roads].all(dim=0)]:
        points = (truth[ends] * SIZE + 0.5) * 2 - 0.5  # drawn twice as large
        ImageDraw.Draw(canvas).line([tuple(point) for point in points.tolist()], fill=shade, width=3)
    image = torch.from_numpy(np.array(canvas.reduce(2)))[None, None] / 255

    angle, zoom = rng.uniform(-0.2, 0.2), rng.uniform(0.9, 1.1)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pos = (crossings - 0.5) @ turn + 0.5 + rng.uniform(-0.1, 0.1, 2) + rng.normal(0, 0.015, crossings.shape)
    return Data(pos=torch.from_numpy(pos).float(), edge_index=roads, mask=exists, truth=truth, image=image)


def train(model: MapModel, maps: list[Data], steps: int) -> MapModel:
    """Train on random batches."""
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(steps):
        some = Batch.from_data_list([maps[index] for index in torch.randint(len(maps), (16,))])
        loss = cascade_loss(model(some).steps, some.truth, some.mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def pixels(pos: Tensor, maps: Batch) -> float:
    """Mean distance of the crossings that exist."""
    return SIZE * (pos - maps.truth)[maps.mask].norm(dim=-1).mean().item()


def save_maps(path: Path, maps: Batch, found: Tensor) -> None:
    """Draw maps where they start and where they were pulled, over their pictures."""
    figure = Figure(figsize=(10, 5.4), dpi=100, layout="constrained")
    axes = figure.subplots(2, 4)
    for row, pos, colour in ((0, maps.pos, "#e69f00"), (1, found, "#56b4e9")):
        for index, ax in enumerate(axes[row]):
            one, nodes = maps[index], SIZE * pos[maps.batch == index]
            ax.imshow(one.image[0, 0], cmap="gray", vmin=0, vmax=1)
            roads = one.edge_index[:, one.mask[one.edge_index].all(dim=0)]
            ax.plot(*nodes[roads].permute(2, 0, 1), color=colour, linewidth=1.2)
            for exists, marker in ((one.mask, "o"), (~one.mask, "x")):
                ax.plot(*nodes[exists].T, marker, color=colour, markersize=7)
            ax.set_axis_off()
            ax.set_title(f"{one.num_nodes} crossings: " + ("start" if row == 0 else "found"), fontsize=9)
    figure.suptitle("orange: start, blue: found, x: crossings that are gone from the picture")
    save_figure(path, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed_everything(options.seed)
    rng = np.random.default_rng(options.seed)
    sizes = rng.integers(5, 13, min(16 * options.steps, 1200))
    maps = [draw_map(number, rng) for number in sizes.tolist()]
    alone = train(MapModel("none", "none"), maps, options.steps)
    together = train(MapModel("attention", "pooled"), maps, options.steps)
    for low, high in ((5, 12), (13, 16)):
        numbers = [*range(low, high + 1)] * min(options.steps, 20)
        new = Batch.from_data_list([draw_map(number, rng) for number in numbers])
        with torch.no_grad():
            figures = [pixels(pos, new) for pos in (new.pos, alone(new).pos, together(new).pos)]
        print(
            f"{len(new)} new maps of {low} to {high} crossings: {figures[0]:.2f} pixels at the start, "
            f"{figures[1]:.2f} without messages, {figures[2]:.2f} with attention",
            flush=True,
        )
    shown = Batch.from_data_list([draw_map(number, rng) for number in (5, 8, 12, 16)])
    with torch.no_grad():
        save_maps(options.out / "maps.png", shown, together(shown).pos)
    print(f"drawn into {options.out / 'maps.png'}")


if __name__ == "__main__":
    main()
