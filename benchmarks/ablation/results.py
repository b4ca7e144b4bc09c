"""The files of the study: what each training came to, and how a file is written."""

import os
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ablation.cells import Cell
from ablation.own import fingerprint
from pyspiga_geo import Layout
from pyspiga_geo.evaluation import landmark_errors, normaliser


@dataclass(frozen=True)
class Settings:
    """What all cells have in common.

    Attributes:
        epochs: passes over the training faces, each over the next copy of them.
        batch_size: faces per training step.
        channels: size of the node features.
        num_layers: graph layers of a step of the cascade.
        lr: peak learning rate of AdamW; one cosine cycle with a short warm-up.
        head_epochs: passes over the training faces for the head that estimates uncertainty, on the finished cascade.
    """

    epochs: int
    batch_size: int
    channels: int = 64
    num_layers: int = 2
    lr: float = 2e-3
    head_epochs: int = 3


@dataclass(frozen=True)
class Result:
    """What one training of a cell came to.

    Attributes:
        parameters: of the cascade that learn.
        milliseconds: of a training step, median.
        errors: evaluation faces by name -> error of each landmark [F, L], percent of the eye corners' distance; NaN
            where the truth is not known.
        surprises: the same for the negative log-likelihood of the truth, of positions in percent of that distance.
    """

    parameters: int
    milliseconds: float
    errors: dict[str, Tensor]
    surprises: dict[str, Tensor]


_MEASURED = ("errors", "surprises")
"""What a result has of each landmark."""


def percent(pos: Tensor, truth: Tensor, layout: Layout) -> Tensor:
    """Distance of each landmark [F, L] from the truth [F, L, 2] in percent of the eye corners' distance."""
    distance = normaliser(truth.numpy(), layout.ids, "inter_ocular")
    return torch.from_numpy(landmark_errors(pos.numpy(), truth.numpy(), distance).astype(np.float32))


def result_path(folder: Path, cell: Cell, seed: int, settings: Settings, features: str) -> Path:
    """File of a result; its name changes with all that the result depends on."""
    name = "".join(letter if letter.isalnum() else "_" for letter in cell.name + fingerprint(cell.conv))
    common = "-".join(f"{value:g}" for value in asdict(settings).values())
    return folder / f"{name}-seed{seed}-{common}-{features}.safetensors"


def write_result(path: Path, result: Result) -> None:
    """Write a result."""
    about = {"parameters": str(result.parameters), "milliseconds": str(result.milliseconds)}
    parts = {part: getattr(result, part) for part in _MEASURED}
    write_tensors(path, {f"{part}/{name}": value for part in parts for name, value in parts[part].items()}, about)


def read_result(path: Path) -> Result:
    """Read what :func:`write_result` wrote."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        found: dict[str, dict[str, Tensor]] = {part: {} for part in _MEASURED}
        for key in file.keys():  # noqa: SIM118 - a file, not a dict
            part, _, name = key.partition("/")
            found[part][name] = file.get_tensor(key)
    return Result(int(about["parameters"]), float(about["milliseconds"]), **found)


def read_results(folder: Path, cell: Cell, settings: Settings, features: str) -> list[Result]:
    """All results of a cell that are there, from seed 0 on without a gap."""
    paths = (result_path(folder, cell, seed, settings, features) for seed in count())
    return [read_result(path) for path in takewhile(Path.exists, paths)]


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Write a safetensors file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.safetensors")
    save_file(tensors, temporary, about)
    temporary.replace(path)
