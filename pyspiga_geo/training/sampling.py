"""The order of the faces and the random changes of each: determined by seed, epoch and face alone.

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
    """Shuffle the faces in each epoch, and give each a seed of its own.

    Every process gets the same number of faces; the remainder, fewer than there are processes, is left out this epoch.

    Args:
        faces: the faces to shuffle.
        seed: of the order and of the faces' seeds.
        num_replicas: number of processes that share the faces.
        rank: of this process.
    """

    def __init__(self, faces: Faces, seed: int, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(faces, num_replicas, rank, shuffle=True, seed=seed, drop_last=True)

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        """Pairs (index, seed) for the epoch that ``set_epoch`` was given."""
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
