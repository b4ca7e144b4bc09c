"""What the frozen backbone sees, computed once and kept: one file for each copy of the faces."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform, Compose
from tqdm import tqdm

import pyspiga_geo
from ablation.results import write_tensors
from pyspiga_geo import SPIGA, FaceData
from pyspiga_geo.data import AnnotatedFaces, SyntheticFaces, read_records, split_groups
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, RandomOcclusion, Resample, SquareCrop

HELD_OUT = 0.15
"""Share of the annotated training faces that cells are measured on."""

COVER = (0.3, 0.6)
"""Smallest and largest side of what hides a part of the face, over that of the face's box."""

Faces = Callable[[BaseTransform], AnnotatedFaces | SyntheticFaces]
"""Faces that are to be seen through a transform."""


class Seen(NamedTuple):
    """N crops of faces as a cascade finds them; positions in normalised crop coordinates (pixel index / resolution)."""

    feature_map: Tensor
    """[N, C, h, w] float16."""
    heatmaps: Tensor
    """[N, L, h, w] float16: logarithm of each landmark's density."""
    coarse_map: Tensor
    """[N, C, h, w] float16: the coarsest of the backbone's maps; ``feature_map`` is the finest."""
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
        maps = (field[rows].float() for field in self[:3])
        return Seen(*maps, *(field[rows] for field in self[3:]))

    def starting_at(self, pos: Tensor) -> "Seen":
        """The same faces with the same x_0 [L, 2] for all."""
        return self._replace(initial=pos.expand_as(self.initial))

    def truth(self) -> Tensor:
        """[N, L, 2], NaN where unknown."""
        return torch.where(self.mask[..., None], self.pos, torch.nan)


@dataclass(frozen=True)
class Source:
    """Where faces come from: training and evaluation faces, and what they are, in words that name a file."""

    training: Faces
    evaluation: Faces
    description: str


def synthetic_faces(model: SPIGA, training: int, evaluation: int) -> Source:
    """Procedural faces; the two parts come from different seeds."""
    return Source(
        lambda transform: SyntheticFaces(model.layout, training, seed=0, transform=transform),
        lambda transform: SyntheticFaces(model.layout, evaluation, seed=1, transform=transform),
        f"drawn {training} {evaluation} {pyspiga_geo.__version__}",
    )


def annotated_faces(model: SPIGA, folder: Path, test: bool) -> Source:
    """The faces of ``folder/train.json``; measured on a part of it, whole groups, or on ``folder/test.json``.

    The part is chosen as training chooses its own validation faces, so it begins with those that the backbone of the
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


@dataclass(frozen=True)
class Features:
    """Files of the training faces, a few times differently augmented, and of the evaluation faces.

    Attributes:
        folder: where they lie.
        key: part of their names, which changes with all that they depend on.
        copies: how often each training face is seen.
    """

    folder: Path
    key: str
    copies: int

    @classmethod
    def compute(cls, model: SPIGA, source: Source, copies: int, folder: Path) -> Self:
        """Show faces to the backbone of ``model``; a file that is there is not computed again.

        Each copy of the training faces has other crops, half of them with something that hides a part of the face.
        Evaluation faces are seen without (``clear``) and with it (``occluded``).
        """
        size, scale = model.config.image_size, model.config.crop_scale
        crop, cut = SquareCrop(size, scale), Resample(size)
        flip = RandomFlip(size, model.layout)
        affine = RandomAffine(size, degrees=30, scale=0.15, shift=0.06)
        varied = Compose([crop, flip, affine, cut, RandomOcclusion(size, COVER, p=0.5)])
        covered = Compose([crop, cut, RandomOcclusion(size, COVER)])
        key = _digest(_weights_digest(model), source.description, _describe(varied), _describe(covered))
        features = cls(folder, key, copies)
        parts = {f"training{copy}": (source.training, varied, copy) for copy in range(copies)}
        parts["clear"] = (source.evaluation, Compose([crop, cut]), 0)
        parts["occluded"] = (source.evaluation, covered, 0)
        for name, (faces, transform, copy) in parts.items():
            if not features.path(name).exists():
                seen = look(model, faces(transform), copy, name)
                write_tensors(features.path(name), seen._asdict())
        return features

    def path(self, name: str) -> Path:
        """The file of a part."""
        return self.folder / f"{name}-{self.key}.safetensors"

    def training(self) -> list[Seen]:
        """The copies of the training faces. They are mapped into memory, which all processes share."""
        return [Seen(**load_file(self.path(f"training{copy}"))) for copy in range(self.copies)]

    def evaluation(self) -> dict[str, Seen]:
        """The evaluation faces by name."""
        return {name: Seen(**load_file(self.path(name))) for name in ("clear", "occluded")}


@torch.no_grad()
def look(model: SPIGA, faces: AnnotatedFaces | SyntheticFaces, copy: int, name: str, batch_size: int = 16) -> Seen:
    """Show faces to the backbone; what is random about a face depends on ``copy`` and its number alone."""
    parts = []
    for rows in tqdm(torch.arange(len(faces)).split(batch_size), desc=f"features: {name}", leave=False):
        batch = Batch.from_data_list([_seeded(faces, copy, index) for index in rows.tolist()])
        seen = model.backbone(model.to_network_channels(batch.image), True)
        shape = (len(rows), len(model.layout))
        truth = (batch.pos.view(*shape, 2), batch.mask.view(shape), batch.visible.view(shape))
        maps = (seen.maps[-1].half(), seen.heatmaps.half(), seen.maps[0].half())
        parts.append(Seen(*maps, model.start(seen), *truth))
    return Seen(*(torch.cat(fields) for fields in zip(*parts, strict=True)))


def _seeded(faces: AnnotatedFaces | SyntheticFaces, copy: int, index: int) -> FaceData:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence((copy, index)).generate_state(1)[0]))
        return faces[index]


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
