"""Annotated faces for the benchmarks of a trained model: which faces, their crops, and what the model says of them."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform, Compose

from pyspiga_geo import SPIGA
from pyspiga_geo.data import AnnotatedFaces, read_records, split_groups
from pyspiga_geo.data.transforms import Resample, SquareCrop
from pyspiga_geo.evaluation import normaliser

BATCH = 32


def add_face_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="name or weights file (default: %(default)s)")
    parser.add_argument("--annotations", type=Path, required=True, help="annotation records")
    parser.add_argument("--images", type=Path, help="folder of the pictures (default: that of the annotations)")
    parser.add_argument("--validation", type=float, metavar="FRACTION", help="only the faces that training holds out")
    parser.add_argument("--faces", type=int, help="only so many, the first")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads on the CPU (default: torch's own choice)")
    parser.add_argument("--json", type=Path, help="write the figures")


def load(args: argparse.Namespace) -> tuple[SPIGA, AnnotatedFaces]:
    """The model and the chosen faces: all, or those that training with ``validation_fraction`` and seed 0 holds out."""
    if args.threads:
        torch.set_num_threads(args.threads)
    model = SPIGA.from_pretrained(args.model)
    records = read_records(args.annotations)
    if args.validation:
        records = split_groups(records, args.validation, 0)[1]
    root = args.images or args.annotations.parent
    return model, AnnotatedFaces(records[: args.faces], root, model.layout)


def crops(
    model: SPIGA,
    faces: AnnotatedFaces,
    *,
    aim: BaseTransform | None = None,
    after: BaseTransform | None = None,
    seed: int = 0,
) -> Iterator[Batch]:
    """Batches of crops as the model wants them.

    ``aim`` changes the map to the crop, and with it the picture and its landmarks; ``after`` changes the crop itself.
    """
    config = model.config
    steps = [SquareCrop(config.image_size, config.crop_scale), aim, Resample(config.image_size), after]
    torch.manual_seed(seed)
    varied = AnnotatedFaces(faces.records, faces.root, faces.layout, Compose([step for step in steps if step]))
    return iter(DataLoader(varied, batch_size=BATCH))


@torch.no_grad()
def look(model: SPIGA, images: Tensor) -> dict[str, Tensor]:
    """All that the model says of crops: positions of x_0, heatmaps, steps and landmarks, and how sure it is.

    ``landmarks`` is there only if a shape prior corrects those of the last step; ``covariance`` and ``visible`` only
    from a model with a head for them.
    """
    seen = model.backbone.forward_stacks(model.to_network_channels(images))[-1]
    initial, out = model.refine(seen)
    said = {"initial": initial, "heatmaps": seen.landmarks}
    said |= {f"step {number}": pos for number, pos in enumerate(out.steps, start=1)}
    covariance, visible = model.how_sure(seen, out)
    if covariance is None:
        return said
    if model.shape_prior is not None:
        said["landmarks"] = model.shape_prior(out.pos, covariance, visible)
    return {**said, "covariance": covariance, "visible": visible}


def true_positions(batch: Batch) -> np.ndarray:
    """[B, L, 2] in normalised crop coordinates, NaN where not annotated or outside of the crop."""
    pos = torch.where(batch.mask[:, None], batch.pos, torch.nan)
    return pos.view(len(batch.image), -1, 2).double().numpy()


def norm_of(model: SPIGA, truth: np.ndarray) -> np.ndarray:
    """The length [F, 1] that errors of true positions [F, L, 2] are divided by, in their units."""
    return normaliser(truth, model.layout.ids, model.layout.norm)[:, None]


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(figures, indent=1))
