"""The base of all training stages, a Lightning module."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch_geometric.data import Batch

from pyspiga_geo.backbones import BackboneOutput, StackOutput
from pyspiga_geo.evaluation import normaliser
from pyspiga_geo.evaluation.torch_metrics import HeadPoseError, LandmarkError
from pyspiga_geo.models import SPIGA
from pyspiga_geo.models.head_pose import fitted_poses
from pyspiga_geo.seed import derive_seed, seed_everything
from pyspiga_geo.training.augmentation import photometric
from pyspiga_geo.training.config import StageConfig, TrainConfig
from pyspiga_geo.training.targets import true_poses
from pyspiga_geo.visualization import face_sheet, save_figure

SHEET_EVERY = 5
"""Epochs between two pictures of validation faces."""


class Stage(LightningModule):
    """The base of all stages: augmentation, optimiser, validation.

    Validation logs ``val/nme_NAME`` of each kind of position in percent of the layout's ``norm``, ``val/auc`` and
    ``val/fr`` of the last kind, and ``val/pose_mae`` in degrees: the figures of ``pyspiga-geo evaluate``.

    Args:
        model: the network, trained in place.
        config: the run.
        stage: epochs and learning rate of this stage.
        positions: names of the positions that :meth:`predict` returns before those of the cascade's steps.
        cascade: whether it also returns those of the steps.
    """

    def __init__(
        self, model: SPIGA, config: TrainConfig, stage: StageConfig, positions: Sequence[str], cascade: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.stage = stage
        self.photometric = photometric(config.augmentation)
        names = [*positions, *(f"step{number + 1}" for number in range(model.config.num_steps if cascade else 0))]
        errors: list[Any] = [LandmarkError(model.layout.ids, model.layout.norm) for _ in names]
        pose_error: Any = HeadPoseError()
        figures = {f"nme_{name}": error["nme"] for name, error in zip(names, errors, strict=True)}
        figures |= {"auc": errors[-1]["auc"], "fr": errors[-1]["fr"], "pose_mae": pose_error["mean"]}
        self.errors, self.pose_error = nn.ModuleList(errors), pose_error
        self.figures: Any = nn.ModuleDict(figures)  # what is logged of them, a number each
        if model.uncertainty is not None:
            model.uncertainty.requires_grad_(False)  # it learns last, in a stage of its own

    @abstractmethod
    def loss(self, images: Tensor, pos: Tensor, mask: Tensor, **known: Tensor) -> dict[str, Tensor]:
        """Weighted parts of the loss for crops [B, 3, S, S] with landmarks [B, L, 2] and mask [B, L]."""

    @abstractmethod
    def predict(self, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """What validation measures: poses [B, 6], if the backbone estimates them, and positions [B, L, 2]."""

    def unpack(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Images [B, 3, S, S], positions [B, L, 2] (normalised crop coordinates) and mask [B, L] of a batch."""
        shape = (len(batch.image), len(self.model.layout))
        images, pos = (value.to(self.dtype) for value in (batch.image, batch.pos))
        return images, pos.view(*shape, 2), batch.mask.view(shape)

    def known(self, batch: Batch) -> dict[str, Tensor]:
        """Further arguments of the loss for a batch, by name."""
        return {}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the augmentation of whole batches by the step, so that a resumed run draws the same."""
        seed_everything(derive_seed(self.config.seed, self.global_step, 0))

    def training_step(self, batch: Batch) -> Tensor:
        """Sum of the losses of one batch."""
        images, pos, mask = self.unpack(batch)
        with torch.no_grad():
            images = self._vary(images).contiguous(memory_format=torch.channels_last)
        try:
            parts = self.loss(images, pos, mask, **self.known(batch))
        except ValueError as error:
            if len(images) > 1 or "more than 1 value per channel" not in str(error):  # what torch says
                raise
            raise ValueError(
                "a batch of one face is too few for the batch norm of this model: batch_size and the number of "
                "training faces must be 2 or more"
            ) from error
        total = torch.stack(list(parts.values())).sum()
        if not total.isfinite():
            values = ", ".join(f"{name} {value:.4g}" for name, value in parts.items())
            raise ValueError(
                f"the loss is not finite in step {self.global_step} ({values}); the batch was "
                f"{', '.join(batch.imgpath)}. The last epoch's checkpoint stays; a smaller learning rate may help"
            )
        logged = {"loss": total, **{f"loss/{name}": value for name, value in parts.items()}}
        self.log_dict(logged, prog_bar=False, sync_dist=True, batch_size=len(images))
        return total

    def _vary(self, images: Tensor) -> Tensor:
        """Photometric changes as one process would draw them that had the faces of all W in its batch.

        There this process's faces stand at r, r + W, ...; so each is put into the places of its W neighbours.
        """
        whole = self.photometric(images.repeat_interleave(self.trainer.world_size, dim=0))
        varied: Tensor = whole[self.global_rank :: self.trainer.world_size]
        return varied

    def on_train_batch_end(self, *_: Any) -> None:
        """After the last batch of an epoch, check that the weights are finite before they become a checkpoint.

        Raises:
            ValueError: if a weight is not finite; the last epoch's checkpoint is kept.
        """
        if not self.trainer.is_last_batch:
            return
        for name, parameter in self.model.named_parameters():
            if not parameter.isfinite().all():
                raise ValueError(f"{name} is not finite after epoch {self.current_epoch}; no checkpoint is written")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure what is predicted for one batch."""
        images, pos, mask = self.unpack(batch)
        images = images.contiguous(memory_format=torch.channels_last)
        pose, predicted = self.predict(images)
        truth = torch.where(mask[..., None], pos, torch.nan)
        if not batch_idx and self.trainer.is_global_zero and not self.trainer.sanity_checking:
            self._show(images, truth, predicted[-1])
        number, first = self._numbers(batch_idx, len(images))
        pose = fitted_poses(pose, predicted[-1], self.model.layout, self.model.config.focal_ratio)
        if pose is not None:
            known = true_poses(batch, pos, mask, self.model.layout, self.model.config.focal_ratio)
            self.pose_error.update(pose[first], known[first], number[first])
        scale = normaliser(truth.double().cpu().numpy(), self.model.layout.ids, self.model.layout.norm)
        measured = first & torch.from_numpy(scale > 0)
        for error, each in zip(self.errors, predicted, strict=True):
            error.update(each[measured], truth[measured], number[measured])  # type: ignore[operator]

    def _numbers(self, batch_idx: int, count: int) -> tuple[Tensor, Tensor]:
        """Numbers [B] of a batch's faces, r, r + W, ... in process r of W; and which are no repetition."""
        place = batch_idx * self.config.batch_size + torch.arange(count)
        number = self.global_rank + self.trainer.world_size * place
        return number, number < len(self.trainer.val_dataloaders.dataset)  # type: ignore[union-attr]  # the only loader

    def _show(self, images: Tensor, truth: Tensor, predicted: Tensor) -> None:
        """Every few epochs, and after the last, draw some faces as PNG and for TensorBoard."""
        epoch = self.current_epoch + 1
        if epoch % SHEET_EVERY and epoch != self.stage.epochs:
            return
        sheet = face_sheet(images[:12], truth[:12], predicted[:12], self.model.layout)
        save_figure(Path(self.trainer.default_root_dir) / "faces" / f"epoch_{epoch:04d}.png", sheet)
        for logger in self.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure("validation faces", sheet, epoch)

    def on_validation_epoch_start(self) -> None:
        """Forget the faces of the previous epoch."""
        for figure in self.figures.values():
            figure.reset()

    def on_validation_epoch_end(self) -> None:
        """Log figures over the faces of all processes, except those that are undefined for every face."""
        for name, figure in self.figures.items():
            if figure.compute().isfinite():  # the same in all processes
                self.log(f"val/{name}", figure, prog_bar=True)

    def _in_full_precision(self) -> torch.autocast:
        """Geometry and cascade count in full precision, whatever the engine's: half would cost them pixels."""
        return torch.autocast(self.device.type, enabled=False)

    def refine(self, seen: BackboneOutput | StackOutput) -> tuple[Tensor, list[Tensor]]:
        """Compute x_0 and the positions after each step of the cascade.

        Each step learns from its own loss alone, and the losses of the cascade do not change the pose.
        """
        with self._in_full_precision():
            maps = [each.to(self.dtype) for each in seen.maps]
            initial, out = self.model.refine(seen._replace(maps=maps), detach_steps=True)
        return initial, out.steps

    def configure_optimizers(self) -> Any:
        """AdamW with one cosine cycle."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, self.stage.lr, weight_decay=self.config.weight_decay)
        # Not the engine's own estimate: it would start the loader before a checkpoint has told the epoch.
        steps = self.stage.epochs * len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        schedule = OneCycleLR(optimizer, self.stage.lr, total_steps=steps, pct_start=0.05)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
