"""One cell: train its cascade on the features of the frozen backbone, then its head, and keep how good they are."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from ablation.cascades import CellCascade
from ablation.cells import Cell
from ablation.features import Features, Seen
from ablation.likelihood import Estimate, estimate, head_loss, make_head, surprises
from ablation.results import Result, Settings, percent, write_result
from pyspiga_geo import SPIGA
from pyspiga_geo.nn import UncertaintyHead
from pyspiga_geo.training.losses import cascade_loss

BATCH = 64
"""Faces at once where nothing is learned."""


def run_cell(
    path: Path, cell: Cell, seed: int, settings: Settings, features: Features, weights: str, threads: int
) -> None:
    """Train a cell from one seed and write its :class:`Result`; ``weights`` are of the model that made the features."""
    torch.set_num_threads(threads)
    model = SPIGA.from_pretrained(weights)
    layout, training, evaluation = model.layout, features.training(), features.evaluation()
    if cell.start == "mean":
        mean = mean_shape(training)
        training = [faces.starting_at(mean) for faces in training]
        evaluation = {name: faces.starting_at(mean) for name, faces in evaluation.items()}
    torch.manual_seed(seed)
    coarse, fine = training[0].coarse_map.size(1), training[0].feature_map.size(1)
    cascade = CellCascade(cell, layout, model.config, [coarse, fine], settings.channels, settings.num_layers)
    milliseconds = train_cascade(cascade, training, settings)
    cascade.eval()
    head = make_head(cascade, layout, settings.channels, fine)
    train(head, lambda seen: head_loss(cascade, head, seen), training, settings.head_epochs, settings)
    head.eval()
    parameters = sum(value.numel() for value in cascade.parameters() if value.requires_grad)
    found = {name: measure(cascade, head, faces) for name, faces in evaluation.items()}
    errors = {name: percent(found[name].pos, faces.truth(), layout) for name, faces in evaluation.items()}
    write_result(path, Result(parameters, milliseconds, errors, surprises(found, evaluation, layout)))


def mean_shape(copies: list[Seen]) -> Tensor:
    """Mean of the training faces [L, 2] over their known landmarks; 0 for a landmark that is never known."""
    return torch.cat([copy.truth() for copy in copies]).nanmean(dim=0).nan_to_num()


def train_cascade(cascade: CellCascade, copies: list[Seen], settings: Settings) -> float:
    """Train a cascade; return the milliseconds of a step, median."""

    def loss(seen: Seen) -> Tensor:
        return cascade_loss(cascade.refine(seen).steps, seen.pos, seen.mask)

    return train(cascade, loss, copies, settings.epochs, settings)


def train(
    module: nn.Module, loss: Callable[[Seen], Tensor], copies: list[Seen], epochs: int, settings: Settings
) -> float:
    """Train a module by a loss of some faces; return the milliseconds of a step, median."""
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, settings.lr, weight_decay=1e-4)
    num_faces = len(copies[0].pos)
    steps = epochs * -(-num_faces // settings.batch_size)
    schedule = OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.05)
    times = []
    for epoch in range(epochs):
        for rows in torch.randperm(num_faces).split(settings.batch_size):
            seen = copies[epoch % len(copies)].rows(rows)
            start = time.perf_counter()
            optimizer.zero_grad()
            loss(seen).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


@torch.no_grad()
def measure(cascade: CellCascade, head: UncertaintyHead, faces: Seen) -> Estimate:
    """Landmarks of all faces after the last step, with their uncertainty."""
    batches = torch.arange(len(faces.pos)).split(BATCH)
    found = [estimate(cascade, head, faces.rows(rows))[0] for rows in batches]
    return Estimate(*(torch.cat(parts) for parts in zip(*found, strict=True)))
