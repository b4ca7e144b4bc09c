"""Training and validation faces for the engine."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import Dataset, DistributedSampler
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo.data import (
    DATASETS,
    AnnotatedFaces,
    FaceRecord,
    SyntheticFaces,
    landmarks_for,
    read_dataset,
    sound_faces,
    split_groups,
)
from pyspiga_geo.data.transforms import Resample, SquareCrop
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.layouts.shape_modes import ShapeModes, shape_modes
from pyspiga_geo.models import SPIGAConfig
from pyspiga_geo.training.augmentation import random_crop
from pyspiga_geo.training.config import TrainConfig
from pyspiga_geo.training.sampling import Faces, SeededFaces, SeededSampler

SYNTHETIC = "synthetic"
"""In place of annotations: synthetic faces."""


class FaceDataModule(LightningDataModule):
    """Crops of annotated or synthetic faces, augmented for training, as PyG batches of :class:`FaceData`."""

    def __init__(self, config: TrainConfig, model: SPIGAConfig) -> None:
        super().__init__()
        self.config = config
        layout = get_layout(config.layout)
        size = model.image_size
        plain = Compose([SquareCrop(size, model.crop_scale), Resample(size)])
        varied = random_crop(config.augmentation, layout, size, model.crop_scale)
        if str(config.annotations) == SYNTHETIC:
            held_out = round(config.validation_fraction * config.synthetic_faces)
            seed, count = 2 * config.seed, config.synthetic_faces  # training draws from even seeds, validation from odd
            self.training: Faces = SyntheticFaces(layout, count - held_out, seed=seed, transform=varied)
            self.validation: Faces = SyntheticFaces(layout, held_out, seed=seed + 1, transform=plain)
        else:
            faces, root = _annotated(config, layout)
            training, validation = split_groups(faces, config.validation_fraction, config.seed)
            self.training = AnnotatedFaces(training, root, layout, varied)
            self.validation = AnnotatedFaces(validation, root, layout, plain)
        if not len(self.training):
            raise ValueError(
                f"validation_fraction {config.validation_fraction} leaves none of {len(self.validation)} faces to "
                "train on: the faces of one group stay together"
            )

    def train_dataloader(self) -> DataLoader:
        """This process's share of the augmented crops in random order."""
        sampler = SeededSampler(self.training, self.config.seed, *self._share)
        if not len(sampler):
            raise ValueError(f"{len(self.training)} training faces are fewer than the {self._share[0]} processes")
        loader = self._loader(
            SeededFaces(self.training),
            sampler=sampler,
            drop_last=len(sampler) >= self.config.batch_size,
        )
        if self.trainer:
            # The engine tells a sampler the epoch of a resumed run only when worker processes have drawn from it.
            sampler.set_epoch(self.trainer.global_step // max(len(loader), 1))
        return loader

    def val_dataloader(self) -> DataLoader:
        """This process's share of the plain crops: every W-th in order, and the first ones again at the end.

        All processes must have the same number of batches, or some would wait for ever.
        """
        return self._loader(self.validation, sampler=DistributedSampler(self.validation, *self._share, shuffle=False))

    def whole_validation(self) -> DataLoader:
        """All plain crops in order."""
        return self._loader(self.validation)

    def training_shapes(self) -> ShapeModes:
        """The distribution of the shapes of the training faces, for the shape prior.

        Raises:
            ValueError: if there are too few faces, or landmarks, for so many modes.
        """
        faces, layout = self.training, get_layout(self.config.layout)
        if isinstance(faces, AnnotatedFaces):
            shapes = [landmarks_for(record, layout.ids) for record in faces.records]
        else:
            shapes = [faces.get(index).pos.double().numpy() for index in range(len(faces))]
        try:
            return shape_modes(np.stack(shapes), layout.ids, self.config.uncertainty.shape_modes, layout.flip)
        except ValueError as error:
            raise ValueError(f"uncertainty.shape_modes: {error}") from error

    @property
    def _share(self) -> tuple[int, int]:
        """Number of processes, and which of them this is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _loader(self, faces: Dataset[FaceData], **options: Any) -> DataLoader:
        return DataLoader(
            faces,
            batch_size=self.config.batch_size,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
            worker_init_fn=_end_if_orphaned,
            **options,
        )


def _end_if_orphaned(_: int) -> None:
    """End a loader process whose run was killed before it began; of later deaths PyTorch itself takes notice."""
    run = multiprocessing.parent_process()
    if run is not None and not run.is_alive():
        os._exit(1)


def _annotated(config: TrainConfig, layout: Layout) -> tuple[list[FaceRecord], Path]:
    """The sound faces, and the folder that their pictures' paths are relative to."""
    if not config.annotations.is_dir():
        root = config.annotations.parent
        return sound_faces(config.annotations, root, layout.ids, config.skip_bad), root
    if config.dataset is None:
        raise ValueError(
            f"{config.annotations} is a folder: `dataset` must say of which published dataset, "
            f"one of {', '.join(DATASETS)}"
        )
    published = read_dataset(config.dataset, config.annotations, config.split, layout, config.skip_bad)
    return published.records, published.root
