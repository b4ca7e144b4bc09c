"""Training and validation faces for the engine."""

from typing import Any

from lightning.pytorch import LightningDataModule
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyspiga_geo.data import AnnotatedFaces, SyntheticFaces, sound_faces, split_groups
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, Resample, SquareCrop
from pyspiga_geo.layouts import get_layout
from pyspiga_geo.models import SPIGAConfig
from pyspiga_geo.training.config import TrainConfig
from pyspiga_geo.training.sampling import Faces, SeededFaces, SeededSampler

SYNTHETIC = "synthetic"
"""In place of annotations: drawn faces."""


class FaceDataModule(LightningDataModule):
    """Crops of annotated or drawn faces, augmented for training, as PyG batches of :class:`FaceData`."""

    def __init__(self, config: TrainConfig, model: SPIGAConfig) -> None:
        super().__init__()
        self.config = config
        layout = get_layout(config.layout)
        size, change = model.image_size, config.augmentation
        plain = [SquareCrop(size, model.crop_scale), Resample(size)]
        varied = [
            plain[0],
            RandomFlip(size, layout, change.flip),
            RandomAffine(size, change.degrees, change.scale, change.shift),
            plain[1],
        ]
        if str(config.annotations) == SYNTHETIC:
            held_out = round(config.validation_fraction * config.synthetic_faces)
            seed = 2 * config.seed  # training draws from even seeds, validation from odd ones
            self.training: Faces = SyntheticFaces(
                layout, config.synthetic_faces - held_out, seed=seed, transform=Compose(varied)
            )
            self.validation: Faces = SyntheticFaces(layout, held_out, seed=seed + 1, transform=Compose(plain))
            return
        root = config.annotations.parent
        faces = sound_faces(config.annotations, root, layout.ids, config.skip_bad)
        training, validation = split_groups(faces, config.validation_fraction, config.seed)
        self.training = AnnotatedFaces(training, root, layout, Compose(varied))
        self.validation = AnnotatedFaces(validation, root, layout, Compose(plain))

    def train_dataloader(self) -> DataLoader:
        """Augmented crops in random order."""
        replicas, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        return self._loader(
            SeededFaces(self.training),
            sampler=SeededSampler(self.training, self.config.seed, replicas, rank),
            drop_last=len(self.training) >= self.config.batch_size,
        )

    def val_dataloader(self) -> DataLoader:
        """Plain crops in order."""
        return self._loader(self.validation)

    def _loader(self, faces: Faces | SeededFaces, **options: Any) -> DataLoader:
        return DataLoader(
            faces,
            batch_size=self.config.batch_size,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
            **options,
        )
