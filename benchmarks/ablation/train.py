"""One cell: train its cascade on the features of the frozen backbone, measure it, keep what it came to."""

import statistics
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from ablation.cascades import CellCascade
from ablation.cells import Cell
from ablation.features import Features, Seen
from ablation.results import Result, Settings, percent, write_result
from pyspiga_geo import SPIGA, Layout
from pyspiga_geo.training.losses import cascade_loss

BATCH = 64
"""Faces at once where nothing is learned."""


def run_cell(
    path: Path, cell: Cell, seed: int, settings: Settings, features: Features, weights: str, threads: int
) -> None:
    """Train a cell from one seed and write its :class:`Result`; ``weights`` are of the model that made the features."""
    torch.set_num_threads(threads)
    model = SPIGA.from_pretrained(weights)
    training, evaluation = features.training(), features.evaluation()
    if cell.start == "mean":
        mean = mean_shape(training)
        training = [faces.starting_at(mean) for faces in training]
        evaluation = {name: faces.starting_at(mean) for name, faces in evaluation.items()}
    torch.manual_seed(seed)
    channels = [training[0].coarse_map.size(1), training[0].feature_map.size(1)]
    cascade = CellCascade(cell, model.layout, model.config, channels, settings.channels, settings.num_layers)
    milliseconds = train(cascade, training, settings)
    parameters = sum(value.numel() for value in cascade.parameters() if value.requires_grad)
    errors = {name: measure(cascade, faces, model.layout) for name, faces in evaluation.items()}
    write_result(path, Result(parameters, milliseconds, errors))


def mean_shape(copies: list[Seen]) -> Tensor:
    """Mean of the training faces [L, 2] over their known landmarks; 0 for a landmark that is never known."""
    return torch.cat([copy.truth() for copy in copies]).nanmean(dim=0).nan_to_num()


def train(cascade: CellCascade, copies: list[Seen], settings: Settings) -> float:
    """Train a cascade; return the milliseconds of a step, median."""
    parameters = list(cascade.parameters())
    optimizer = torch.optim.AdamW(parameters, settings.lr, weight_decay=1e-4)
    num_faces = len(copies[0].pos)
    steps = settings.epochs * -(-num_faces // settings.batch_size)
    schedule = OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.05)
    times = []
    for epoch in range(settings.epochs):
        for rows in torch.randperm(num_faces).split(settings.batch_size):
            seen = copies[epoch % len(copies)].rows(rows)
            start = time.perf_counter()
            optimizer.zero_grad()
            cascade_loss(cascade.refine(seen), seen.pos, seen.mask).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


@torch.no_grad()
def measure(cascade: CellCascade, faces: Seen, layout: Layout) -> Tensor:
    """Error of each landmark [F, L] after the last step, percent of the eye corners' distance."""
    cascade.eval()
    batches = torch.arange(len(faces.pos)).split(BATCH)
    pos = torch.cat([cascade.refine(faces.rows(rows))[-1] for rows in batches])
    return percent(pos, faces.truth(), layout)
