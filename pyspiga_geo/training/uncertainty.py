"""The last stage: the uncertainty of each landmark, learnt with synthetic occluders on the finished model."""

from dataclasses import replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from torchmetrics import MeanMetric

from pyspiga_geo.layouts.shape_modes import ShapeModes
from pyspiga_geo.models import SPIGA
from pyspiga_geo.training.config import OCCLUDERS, AugmentationConfig, TrainConfig
from pyspiga_geo.training.losses import likeliest_spread, masked_mean, negative_log_likelihood, squared_mahalanobis
from pyspiga_geo.training.stages import CascadeStage


def occluded(config: TrainConfig) -> TrainConfig:
    """The configuration with this stage's occluders, which are synthetic: it is known which landmarks they hide."""
    stage, own = config.uncertainty, config.augmentation
    painted: AugmentationConfig = replace(
        own, occlusion=stage.occlusion, occlusion_size=stage.occlusion_size, occluders=OCCLUDERS
    )
    return replace(config, augmentation=painted)


def know_shapes(model: SPIGA, shapes: ShapeModes) -> SPIGA:
    """A model of the same parts with a shape prior that knows the distribution of the training faces."""
    model = model.with_uncertainty(len(shapes.variances))
    model.shape_prior.set_shapes(*shapes)
    return model


@torch.no_grad()
def calibrate(model: SPIGA, validation: DataLoader) -> None:
    """Set the head's ``spread`` to the value under which the true landmarks of the validation crops are most likely."""
    model.uncertainty.spread.fill_(1)
    squared = [model.uncertainty.bias.new_zeros(0)]
    for batch in validation:
        out = model(batch.image.to(squared[0]))
        error = batch.pos.to(out.landmarks).view_as(out.landmarks) - out.landmarks
        squared.append(squared_mahalanobis(error, out.covariance)[0].flatten()[batch.mask.to(error.device)])
    model.uncertainty.spread.copy_(likeliest_spread(torch.cat(squared)))


class UncertaintyStage(CascadeStage):
    """Stage 5: train the uncertainty head on the frozen model.

    L = -ln p(true position) + lambda_v BCE(visible), where p is the Student t distribution about the landmark, as the
    shape prior corrects it if there is one, and lambda_v is ``uncertainty.visible``. A model without the head gets one.
    """

    def __init__(self, model: SPIGA, config: TrainConfig) -> None:
        super().__init__(model.with_uncertainty(), occluded(config), config.uncertainty)
        self.figures = nn.ModuleDict({"likelihood": MeanMetric(), "visible": MeanMetric()})
        self.model.requires_grad_(False)
        self.model.uncertainty.requires_grad_(True)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode; all modules but the head keep their batch statistics."""
        super().train(mode)
        self.model.eval()
        self.model.uncertainty.train(mode)
        return self

    def known(self, batch: Batch) -> dict[str, Tensor]:
        """The visibility [B, L] of the landmarks."""
        return {"visible": batch.visible.to(self.dtype).view(len(batch.image), -1)}

    def loss(self, images: Tensor, pos: Tensor, mask: Tensor, **known: Tensor) -> dict[str, Tensor]:
        """Losses of the positions and of the visibility."""
        parts = self.parts(images, pos, mask, known["visible"])
        return {name: masked_mean(values, mask) for name, values in parts.items()}

    def parts(self, images: Tensor, pos: Tensor, mask: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """The weighted losses [B, L] of each landmark; only the head gets a gradient."""
        with torch.no_grad(), self._in_full_precision():
            seen = self._look(images)
            _, out = self.model.refine(seen)
        with self._in_full_precision():
            covariance, logit = self.model.uncertainty(out.x, seen.maps[-1].to(self.dtype), out.pos)
            prior, visibility = self.model.shape_prior, logit.detach().sigmoid()
            landmarks = out.pos if prior is None else prior(out.pos, covariance, visibility)
        hidden = F.binary_cross_entropy_with_logits(logit, visible, reduction="none")
        return {
            "likelihood": negative_log_likelihood(landmarks, covariance, pos, mask),
            "visible": self.config.uncertainty.visible * hidden,
        }

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the losses on crops without occluders; the landmarks were measured in earlier stages."""
        images, pos, mask = self.unpack(batch)
        _, first = self._numbers(batch_idx, len(images))
        for name, values in self.parts(images, pos, mask, **self.known(batch)).items():
            self.figures[name].update(values[mask & first[:, None].to(mask.device)])
