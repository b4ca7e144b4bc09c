"""
3-D landmarks and graphs of different sizes
===========================================

A cascade is not limited to two dimensions, nor to the same number of landmarks in every picture. This tutorial finds
points in volumes, such as those of a scanner, and then beads on chains of different lengths, batched as PyTorch
Geometric batches graphs.
"""

import time

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyspiga_geo import SPIGACascade
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss

started = time.perf_counter()
seed_everything(0)


def train(model, draw, steps, lr=5e-3):
    """Train on freshly drawn examples; ``draw`` gives what the model takes, true positions and a mask."""
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(steps):
        given, truth, mask = draw()
        loss = cascade_loss(model(given).steps, truth, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


# %%
# Volumes
# -------
# A tripod in a noisy volume of 24 x 24 x 24 voxels: a head and three feet, joined by bright tubes. Positions are (x, y,
# z), voxel index divided by resolution, and the volume's axes are [D, H, W] with x along the last.

SIDE = 24
TRIPOD = torch.tensor([(0.5, 0.5, 0.25), (0.25, 0.4, 0.75), (0.75, 0.4, 0.75), (0.5, 0.75, 0.75)])


def tripods(number):
    """Volumes [N, 1, D, H, W] and landmarks [N, 4, 3]."""
    skew = 0.25 * torch.randn(number, 3, 3)
    turn = torch.linalg.matrix_exp(skew - skew.mT)
    pos = (TRIPOD - 0.5) @ turn + 0.5 + 0.2 * (torch.rand(number, 1, 3) - 0.5) + 0.02 * torch.randn(number, 4, 3)
    share = torch.linspace(0, 1, 10)[:, None]
    beads = (pos[:, :1, None] + share * (pos[:, 1:, None] - pos[:, :1, None])).flatten(1, 2)  # a tube is a row of them
    z, y, x = (torch.exp(-(((torch.arange(SIDE) / SIDE - beads[..., axis, None]) / 0.05) ** 2)) for axis in (2, 1, 0))
    tubes = torch.einsum("nkz,nky,nkx->nzyx", z, y, x).clamp(max=1)
    return (tubes + 0.15 * torch.randn_like(tubes))[:, None], pos


class VolumeModel(nn.Module):
    """Two 3-D convolutions and a cascade of dimension 3, from the mean shape."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, 12, 3, stride=2, padding=1), nn.BatchNorm3d(12), nn.ReLU(),
            nn.Conv3d(12, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU(),
        )  # fmt: skip
        self.cascade = SPIGACascade(
            len(TRIPOD), feature_channels=16, dim=3, num_steps=2, num_layers=2, window=0.6,
            node_channels=48, hidden_channels=48, samples=4, scale=True,
        )  # fmt: skip

    def forward(self, volumes):
        return self.cascade(TRIPOD[None], self.features(volumes))


def some_tripods():
    volumes, pos = tripods(16)
    return volumes, pos, torch.ones(pos.shape[:2], dtype=torch.bool)


model = train(VolumeModel(), some_tripods, steps=220)
volumes, truth = tripods(100)
with torch.no_grad():
    out = model(volumes)
for name, pos in (("mean shape", TRIPOD.expand_as(truth)), ("x_1", out.steps[0]), ("x_2", out.pos)):
    print(f"{name:10} {SIDE * (pos - truth).norm(dim=-1).mean():.2f} voxels off")
print(f"{time.perf_counter() - started:.0f} s so far")

# %%
# Two tripods, seen along the three axes: the brightest voxel along each line of sight. A tripod that is rotated far
# from the mean shape is a hard case: its feet lie where the mean shape has other parts.

STYLES = (("#56b4e9", "o", "true"), ("#e69f00", "x", "found"))
figure, axes = plt.subplots(2, 3, figsize=(8, 5.6), layout="constrained")
for index, row in enumerate(axes):
    for ax, axis, (across, down) in zip(row, (0, 1, 2), ((0, 1), (0, 2), (1, 2)), strict=True):
        ax.imshow(volumes[index, 0].amax(dim=axis), cmap="gray")
        for pos, (color, marker, label) in zip((truth[index], out.pos[index]), STYLES, strict=True):
            ends = SIDE * pos[torch.tensor([[0, 1], [0, 2], [0, 3]])][..., [across, down]]
            ax.plot(*ends.permute(2, 1, 0), color=color, lw=1.5)
            ax.plot(*(SIDE * pos[:, [across, down]]).T, marker, color=color, mfc="none", mew=2, ms=9, label=label)
        ax.set_title(f"along {'zyx'[axis]}")
        ax.set_axis_off()
axes[0, 0].legend(loc="upper left", fontsize=8)

# %%
# Graphs of different sizes
# -------------------------
# Pictures show chains of 4 to 9 beads. The initial positions of a chain's nodes lie on a straight line, roughly where
# the beads are. A batch of chains is one graph with N nodes in all: ``batch`` says which chain a node belongs to,
# ``edge_index`` joins neighbours on a chain, and no edge leads to another chain. ``SPIGACascade(None)`` takes any
# number of nodes. The ordered position encoding of the paper needs a fixed number, so here it is ``"pooled"``: each
# displacement from a neighbour is embedded, and the embeddings are averaged.
#
# Beads look alike, and some are missing from the picture: their positions have to be inferred from their neighbours.

SIZE = 48


def chain(beads):
    """A chain as a graph: where its nodes start, where they belong, its picture, and who is missing in it."""
    t = torch.linspace(-1, 1, beads)
    bend = 0.3 * torch.randn(2)
    line = torch.stack([0.36 * t, 0.12 * bend[0] * torch.sin(2 * t) + 0.15 * bend[1] * t], dim=1)
    truth = 0.5 + line + 0.1 * (torch.rand(1, 2) - 0.5)
    seen = torch.rand(beads) > 0.2
    y, x = torch.meshgrid(torch.arange(SIZE) / SIZE, torch.arange(SIZE) / SIZE, indexing="ij")
    squared = (x - truth[seen, 0, None, None]) ** 2 + (y - truth[seen, 1, None, None]) ** 2
    image = torch.exp(-squared / 0.02**2).sum(dim=0)[None, None] + 0.15 * torch.randn(1, 1, SIZE, SIZE)
    start = torch.stack([0.5 + 0.36 * t, torch.full((beads,), 0.5)], dim=1)
    edge = torch.stack([torch.arange(beads - 1), torch.arange(1, beads)])
    return Data(pos=start, truth=truth, image=image, seen=seen, edge_index=torch.cat([edge, edge.flip(0)], dim=1))


batch = Batch.from_data_list([chain(beads) for beads in (4, 6, 9)])
print(batch)
print("nodes of each chain:", batch.batch.bincount().tolist())


class ChainModel(nn.Module):
    """Two convolutions, and a cascade over graphs of any size."""

    def __init__(self, conv):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
        )  # fmt: skip
        self.cascade = SPIGACascade(
            None, feature_channels=24, conv=conv, position="pooled", num_steps=2, num_layers=3, window=0.4,
            node_channels=48, hidden_channels=48, samples=6, scale=True,
        )  # fmt: skip

    def forward(self, chains):
        return self.cascade(chains.pos, self.features(chains.image), chains.edge_index, batch=chains.batch)


def some_chains(sizes=(4, 10)):
    chains = Batch.from_data_list([chain(int(beads)) for beads in torch.randint(*sizes, (16,))])
    return chains, chains.truth, torch.ones(chains.num_nodes, dtype=torch.bool)


new = Batch.from_data_list([chain(beads) for beads in range(4, 10) for _ in range(30)])
longer = Batch.from_data_list([chain(beads) for beads in (10, 11, 12) for _ in range(30)])
found = {}
for conv in ("none", "attention"):
    model = train(ChainModel(conv), some_chains, steps=200)
    with torch.no_grad():
        found[conv] = model(new).pos
        far = model(longer).pos
    off = SIZE * (found[conv] - new.truth).norm(dim=1)
    beyond = SIZE * (far - longer.truth).norm(dim=1).mean()
    print(
        f"{conv:10} beads in sight {off[new.seen].mean():.2f} px off, missing ones {off[~new.seen].mean():.2f} px; "
        f"longer chains than any in training {beyond:.2f} px"
    )
print(f"start      {SIZE * (new.pos - new.truth).norm(dim=1).mean():.2f} px off")

# %%
# Top row: ``conv="none"``; bottom row: attention along the chains. Rings mark the true positions, dotted for missing
# beads; crosses mark the predictions.

figure, axes = plt.subplots(2, 5, figsize=(11, 4.7), layout="constrained")
for row, (conv, pos) in zip(axes, found.items(), strict=True):
    for ax, index in zip(row, (0, 40, 80, 120, 160), strict=True):
        one, nodes = new[index], SIZE * pos[new.batch == index]
        ax.imshow(one.image[0, 0], cmap="gray")
        for seen, style in ((one.seen, "-"), (~one.seen, ":")):
            for x, y in (SIZE * one.truth[seen]).tolist():
                ax.add_patch(plt.Circle((x, y), 3, fill=False, color="#56b4e9", linewidth=1.5, linestyle=style))
        ax.plot(*nodes.T, "x", color="#e69f00", mew=2)
        ax.set_title(f"{one.num_nodes} beads, {conv}", fontsize=9)
        ax.set_axis_off()

# %%
# There are two longer programs of this kind: ``examples/landmarks_in_volumes.py`` compares a cascade with
# ridge regression, ``examples/graphs_of_different_sizes.py`` fits road maps to the roads in a picture.

print(f"{time.perf_counter() - started:.0f} s in all")
