"""What the frozen backbone sees, computed once and kept: one file for each copy of the faces."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform, Compose
from tqdm import tqdm

import pyspiga_geo
from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import AnnotatedFaces, SyntheticFaces, read_records, split_groups
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, RandomOcclusion, Resample, SquareCrop
from pyspiga_geo.models import SPIGA
from pyspiga_geo.seed import derive_seed
from pyspiga_geo.training.sampling import SeededFaces

HELD_OUT = 0.15
"""Share of the annotated training faces that cells are measured on."""

COVER = (0.3, 0.6)
"""Smallest and largest side of what hides a part of the face, over that of the face's box."""

Faces = Callable[[BaseTransform], AnnotatedFaces | SyntheticFaces]
"""Faces that are to be seen through a transform."""


class Seen(NamedTuple):
    """N crops of faces as a cascade finds them; positions in crop units (pixel index / resolution)."""

    feature_map: Tensor
    """[N, C, h, w] float16."""
    heatmaps: Tensor
    """[N, L, h, w] float16: logarithm of each landmark's density."""
    initial: Tensor
    """[N, L, 2]: x_0, the rigid face under the pose that the backbone sees."""
    pos: Tensor
    """[N, L, 2]: the truth."""
    mask: Tensor
    """[N, L] bool: which of it is known."""
    visible: Tensor
    """[N, L]: 1 where nothing stands before the landmark."""

    def rows(self, rows: Tensor) -> "Seen":
        """Some of the faces, in single precision."""
        maps = (field[rows].float() for field in (self.feature_map, self.heatmaps))
        return Seen(*maps, *(field[rows] for field in self[2:]))

    def truth(self) -> Tensor:
        """[N, L, 2], NaN where unknown."""
        return torch.where(self.mask[..., None], self.pos, torch.nan)


@dataclass(frozen=True)
class Source:
    """Where faces come from: training and evaluation faces, and what they are, in words that name a file."""

    training: Faces
    evaluation: Faces
    description: str


def drawn_faces(model: SPIGA, training: int, evaluation: int) -> Source:
    """Procedural faces; the two parts are drawn from different seeds."""
    return Source(
        lambda transform: SyntheticFaces(model.layout, training, seed=0, transform=transform),
        lambda transform: SyntheticFaces(model.layout, evaluation, seed=1, transform=transform),
        f"drawn {training} {evaluation} {pyspiga_geo.__version__}",
    )


def annotated_faces(model: SPIGA, folder: Path, test: bool) -> Source:
    """The faces of ``folder/train.json``; measured on a part of it, whole groups, or on ``folder/test.json``.

    The part is drawn as training draws its own validation faces, so it begins with those that the backbone of the
    package has never seen.

    Raises:
        pyspiga_geo.data.RecordError: when a file cannot be used.
    """
    files = [folder / "train.json", *([folder / "test.json"] if test else [])]
    training, evaluation = split_groups(read_records(files[0]), HELD_OUT, seed=0)
    if test:
        evaluation = read_records(files[1])
    return Source(
        lambda transform: AnnotatedFaces(training, folder, model.layout, transform),
        lambda transform: AnnotatedFaces(evaluation, folder, model.layout, transform),
        " ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
    )


class Features:
    """The training faces, a few times differently augmented, and the evaluation faces, clear and occluded.

    Args:
        model: its backbone looks.
        source: the faces.
        copies: how often each training face is seen, each time with another crop; half of them with something that
            hides a part of the face.
        folder: where the files are kept; a file that is there is not computed again.
    """

    def __init__(self, model: SPIGA, source: Source, copies: int, folder: Path) -> None:
        size, scale = model.config.image_size, model.config.crop_scale
        crop, cut = SquareCrop(size, scale), Resample(size)
        varied = Compose(
            [
                crop,
                RandomFlip(size, model.layout),
                RandomAffine(size, degrees=30, scale=0.15, shift=0.06),
                cut,
                RandomOcclusion(size, COVER, p=0.5),
            ]
        )
        covered = Compose([crop, cut, RandomOcclusion(size, COVER)])
        self.key = _digest(_weights_digest(model), source.description, _describe(varied), _describe(covered))
        self.folder = folder
        parts = {f"training{copy}": (source.training, varied, copy) for copy in range(copies)}
        parts["clear"] = (source.evaluation, Compose([crop, cut]), 0)
        parts["occluded"] = (source.evaluation, covered, 0)
        for name, (faces, transform, copy) in parts.items():
            if not self.path(name).exists():
                seen = look(model, SeededFaces(faces(transform)), copy, name)
                with atomic_path(self.path(name)) as temporary:
                    save_file(seen._asdict(), temporary)
        self.copies = copies

    def path(self, name: str) -> Path:
        """The file of a part; its name changes with all that its contents depend on."""
        return self.folder / f"{name}-{self.key}.safetensors"

    def paths(self) -> tuple[list[Path], dict[str, Path]]:
        """Files of the training copies, and of the evaluation faces by name."""
        training = [self.path(f"training{copy}") for copy in range(self.copies)]
        return training, {name: self.path(name) for name in ("clear", "occluded")}


def load(path: Path) -> Seen:
    """Map a file into memory; processes that read the same one share it."""
    return Seen(**load_file(path))


@torch.no_grad()
def look(model: SPIGA, faces: SeededFaces, copy: int, name: str, batch_size: int = 16) -> Seen:
    """Show faces to the backbone; what is random about a face is told by ``copy`` and its number alone."""
    order = [(index, derive_seed(copy, index)) for index in range(len(faces))]
    parts = []
    for batch in tqdm(DataLoader(faces, batch_size, sampler=order), desc=f"features: {name}", leave=False):
        parts.append(_look_at(model, batch))
    return Seen(*(torch.cat(fields) for fields in zip(*parts, strict=True)))


def _look_at(model: SPIGA, batch: Batch) -> Seen:
    pose, (feature_map,), heatmaps = model.backbone(model.to_network_channels(batch.image), True)
    shape = (len(batch.image), len(model.layout))
    return Seen(
        feature_map.half(),
        heatmaps.half(),
        model.start(seen),
        batch.pos.view(*shape, 2),
        batch.mask.view(shape),
        batch.visible.view(shape),
    )


def _weights_digest(model: SPIGA) -> str:
    digest = hashlib.sha256()
    for value in model.backbone.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _describe(transform: Compose) -> str:
    """All that a chain of transforms is made of."""
    return " ".join(f"{type(step).__name__} {vars(step)}" for step in transform.transforms)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
