"""Which faces come when, and how each is varied: told by seed, epoch and face alone.

So nothing depends on how many processes read the pictures, or on whether the run was interrupted.
"""

from collections.abc import Iterator

import torch
from torch.utils.data import Dataset, DistributedSampler

from pyspiga_geo.data import AnnotatedFaces, SyntheticFaces
from pyspiga_geo.graph import FaceData
from pyspiga_geo.seed import derive_seed

Faces = AnnotatedFaces | SyntheticFaces


class SeededSampler(DistributedSampler[FaceData]):
    """Shuffle anew each epoch; give each face a seed of its own.

    Every process gets as many faces: those left over, fewer than there are processes, wait for another epoch.

    Args:
        faces: what is drawn from.
        seed: of the order and of the faces' seeds.
        num_replicas: processes that share the faces.
        rank: which of them this is.
    """

    def __init__(self, faces: Faces, seed: int, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(faces, num_replicas, rank, shuffle=True, seed=seed, drop_last=True)

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        """Pairs (index, seed) of the epoch that ``set_epoch`` told."""
        for index in super().__iter__():
            yield int(index), derive_seed(self.seed, self.epoch, int(index))


class SeededFaces(Dataset[FaceData]):
    """Faces whose random transforms are drawn from the seed that :class:`SeededSampler` gives."""

    def __init__(self, faces: Faces) -> None:
        self.faces = faces

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.faces)

    def __getitem__(self, item: tuple[int, int]) -> FaceData:
        """The face with this (index, seed)."""
        index, seed = item
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # a GPU draws nothing here, and takes a millisecond to seed
            return self.faces[index]
