"""One cell: train its cascade on the cached features, measure it, keep what it came to."""

import json
import statistics
import time
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from ablation.cascades import Visibility, make_cascade, make_edges
from ablation.cells import Cell
from ablation.features import Seen, load
from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.evaluation import landmark_errors, normaliser
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.losses import cascade_loss

BATCH = 64
"""Faces at once where nothing is learned."""


@dataclass(frozen=True)
class Settings:
    """What all cells have in common.

    Attributes:
        epochs: passes over the training faces, each over the next copy of them.
        batch_size: faces a step.
        channels: size of the node features.
        num_layers: graph layers of a step of the cascade.
        lr: peak learning rate of AdamW; one cosine cycle with a short warm-up.
    """

    epochs: int
    batch_size: int
    channels: int = 64
    num_layers: int = 2
    lr: float = 2e-3


@dataclass(frozen=True)
class Result:
    """What one training of a cell came to.

    Attributes:
        parameters: of the cascade that learn.
        milliseconds: of a training step, median.
        errors: evaluation faces by name -> error of each landmark [F, L], percent of the eye corners' distance; NaN
            where the truth is not known.
    """

    parameters: int
    milliseconds: float
    errors: dict[str, Tensor]


class Refiner:
    """A cascade, and what its cell says about where it starts and what it looks at.

    Args:
        cell: see :class:`Cell`.
        model: whose backbone made the features; tells layout and windows.
        settings: tell the size.
        mean_shape: [L, 2], where cells start that do not start from the pose.
    """

    def __init__(self, cell: Cell, model: SPIGA, settings: Settings, mean_shape: Tensor) -> None:
        self.cell = cell
        self.cascade = make_cascade(cell, model.layout, model.config, settings.channels, settings.num_layers)
        self.edge_index = make_edges(cell, model.layout)
        self.mean_shape = mean_shape

    def __call__(self, seen: Seen) -> list[Tensor]:
        """Positions [B, L, 2] after each step."""
        start = self.mean_shape.expand_as(seen.initial) if self.cell.start == "mean" else seen.initial
        heatmaps = seen.heatmaps if self.cell.heatmaps else None
        for module in self.cascade.modules():
            if isinstance(module, Visibility):
                module.visible = seen.visible
        steps: list[Tensor] = self.cascade(
            start, seen.feature_map, self.edge_index, heatmaps=heatmaps, detach_steps=True
        ).steps
        return steps


def run_cell(
    path: Path,
    cell: Cell,
    seed: int,
    settings: Settings,
    training: list[Path],
    evaluation: dict[str, Path],
    weights: str,
    threads: int,
) -> None:
    """Train a cell from one seed and write its :class:`Result`.

    Args:
        path: the file to write; it appears whole or not at all.
        cell: the cascade.
        seed: of its weights and of the order of the faces.
        settings: of the training.
        training: features of the training faces, a file a copy.
        evaluation: features of the evaluation faces by name.
        weights: of the model that made the features.
        threads: of the arithmetic.
    """
    torch.set_num_threads(threads)
    model = SPIGA.from_pretrained(weights)
    copies = [load(file) for file in training]
    seed_everything(seed)
    refiner = Refiner(cell, model, settings, mean_shape(copies))
    milliseconds = train(refiner, copies, settings)
    errors = {name: measure(refiner, load(file), model.layout) for name, file in evaluation.items()}
    about = {
        "cell": json.dumps(asdict(cell)),
        "settings": json.dumps(asdict(settings)),
        "seed": str(seed),
        "parameters": str(count_learning(refiner.cascade)),
        "milliseconds": str(milliseconds),
    }
    with atomic_path(path) as temporary:
        save_file(errors, temporary, about)


def read_result(path: Path) -> Result:
    """Read what :func:`run_cell` wrote."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        errors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a file, not a dict
    return Result(int(about["parameters"]), float(about["milliseconds"]), errors)


def read_results(folder: Path, cell: Cell, settings: Settings, features: str) -> list[Result]:
    """All results of a cell that are there, from seed 0 on without a gap."""
    paths = (result_path(folder, cell, seed, settings, features) for seed in count())
    return [read_result(path) for path in takewhile(Path.exists, paths)]


def result_path(folder: Path, cell: Cell, seed: int, settings: Settings, features: str) -> Path:
    """File of a result; its name changes with all that the result depends on."""
    name = "".join(letter if letter.isalnum() else "_" for letter in cell.name)
    common = "-".join(f"{value:g}" for value in asdict(settings).values())
    return folder / f"{name}-seed{seed}-{common}-{features}.safetensors"


def mean_shape(copies: list[Seen]) -> Tensor:
    """Mean of the training faces [L, 2] over their known landmarks."""
    pos, mask = (torch.cat([getattr(copy, field) for copy in copies]) for field in ("pos", "mask"))
    known = mask[..., None]
    return torch.where(known, pos, 0).sum(dim=0) / known.sum(dim=0).clamp(min=1)


def train(refiner: Refiner, copies: list[Seen], settings: Settings) -> float:
    """Train a cascade; return the milliseconds of a step, median."""
    parameters = list(refiner.cascade.parameters())
    optimizer = torch.optim.AdamW(parameters, settings.lr, weight_decay=1e-4)
    num_faces = len(copies[0].pos)
    steps = settings.epochs * -(-num_faces // settings.batch_size)
    schedule = OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.05)
    times = []
    for epoch in range(settings.epochs):
        copy = copies[epoch % len(copies)]
        for rows in torch.randperm(num_faces).split(settings.batch_size):
            seen = copy.rows(rows)
            start = time.perf_counter()
            loss = cascade_loss(refiner(seen), seen.pos, seen.mask)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def count_learning(cascade: nn.Module) -> int:
    """Parameters that training reached: PyG's TransformerConv makes a skip that it may never use."""
    return sum(value.numel() for value in cascade.parameters() if value.grad is not None)


@torch.no_grad()
def measure(refiner: Refiner, faces: Seen, layout: Layout) -> Tensor:
    """Error of each landmark [F, L] after the last step, percent of the eye corners' distance."""
    refiner.cascade.eval()
    batches = torch.arange(len(faces.pos)).split(BATCH)
    pos = torch.cat([refiner(faces.rows(rows))[-1] for rows in batches])
    return percent(pos, faces, layout)


def percent(pos: Tensor, faces: Seen, layout: Layout) -> Tensor:
    """Distance of each landmark [F, L] from the truth in percent of the eye corners' distance; NaN where unknown."""
    truth = faces.truth().numpy()
    distance = normaliser(truth, layout.ids, "corners")
    return torch.from_numpy(landmark_errors(pos.numpy(), truth, distance).astype(np.float32))
