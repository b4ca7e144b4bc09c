"""The stages: the backbone's tasks, the cascade, then both together."""

from typing import Self

import torch
from torch import Tensor

from pyspiga_geo.backbones import BackboneOutput, StackOutput
from pyspiga_geo.models import SPIGA
from pyspiga_geo.models.head_pose import pose_targets
from pyspiga_geo.training.config import StageConfig, TrainConfig
from pyspiga_geo.training.losses import cascade_loss, coordinate_loss, heatmap_loss, pose_loss
from pyspiga_geo.training.stage import Stage
from pyspiga_geo.training.targets import boundary_heatmaps, boundary_mask, point_heatmaps


class BackboneStage(Stage):
    """Stages 1 and 2: every hourglass learns heatmaps, and with ``with_pose`` the head pose.

    L_mt = sum_h 2^(h - M) (lambda_c L_coord + lambda_att L_att + lambda_p L_p): the paper's weights 2^(h-1), over that
    of the last of the M hourglasses.
    """

    def __init__(
        self, model: SPIGA, config: TrainConfig, stage: StageConfig, with_pose: bool, cascade: bool = False
    ) -> None:
        super().__init__(model, config, stage, ("initial", "heatmaps"), cascade)
        self.with_pose = with_pose
        model.backbone.requires_grad_(True)
        model.cascade.requires_grad_(False)
        for module in model.backbone.pose_modules():
            module.requires_grad_(with_pose)

    def loss(self, images: Tensor, pos: Tensor, mask: Tensor, **known: Tensor) -> dict[str, Tensor]:
        """Losses of coordinates, attention and pose, summed over the hourglasses."""
        return self.stack_losses(self._stacks(images), pos, mask)

    def _stacks(self, images: Tensor) -> list[StackOutput]:
        return self.model.backbone.forward_stacks(self.model.to_network_channels(images))

    def stack_losses(self, outputs: list[StackOutput], pos: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The same for given outputs of the hourglasses."""
        loss, layout, size = self.config.loss, self.model.layout, outputs[-1].points.size(-1)
        points = point_heatmaps(pos, size, loss.point_sigma)
        boundaries = boundary_heatmaps(pos, layout, size, loss.boundary_sigma)
        whole = boundary_mask(mask, layout)
        pose = pose_targets(pos, mask, layout, self.model.config.focal_ratio) if self.with_pose else None
        parts = {"coordinates": pos.new_zeros(()), "attention": pos.new_zeros(())}
        if self.with_pose:
            parts["pose"] = pos.new_zeros(())
        for index, out in enumerate(outputs):
            weight = 2.0 ** (index + 1 - len(outputs))
            attention = heatmap_loss(out.points, points, mask) + heatmap_loss(out.boundaries, boundaries, whole)
            parts["coordinates"] += weight * loss.coordinates * coordinate_loss(out.landmarks, pos, mask)
            parts["attention"] += weight * loss.attention * attention
            if pose is not None and out.pose is not None:
                parts["pose"] += weight * loss.pose * pose_loss(out.pose, pose)
        return parts

    def predict(self, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """x_0 under the pose of the last hourglass, and the coordinates of its heatmaps."""
        last = self._stacks(images)[-1]
        with self._in_full_precision():
            initial = self.model.start(last).expand(len(images), -1, -1)
        return last.pose, [initial, last.landmarks]


class CascadeStage(Stage):
    """Stage 3: the cascade learns on features and poses of the frozen backbone, L_CR = sum_t L_coord(x_t)."""

    def __init__(self, model: SPIGA, config: TrainConfig, stage: StageConfig) -> None:
        super().__init__(model, config, stage, ("initial",), cascade=True)
        model.backbone.requires_grad_(False)
        model.cascade.requires_grad_(True)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch to training; the frozen backbone keeps its batch statistics all the same."""
        super().train(mode)
        self.model.backbone.eval()
        return self

    def loss(self, images: Tensor, pos: Tensor, mask: Tensor, **known: Tensor) -> dict[str, Tensor]:
        """Loss of the coordinates of every step."""
        _, steps = self.refine(self._look(images))
        return {"cascade": cascade_loss(steps, pos, mask)}

    def predict(self, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """x_0 and the positions after each step."""
        seen = self._look(images)
        initial, steps = self.refine(seen)
        return seen.pose, [initial, *steps]

    def _look(self, images: Tensor) -> BackboneOutput:
        model = self.model
        with self._in_full_precision(), torch.no_grad():
            out: BackboneOutput = model.backbone(model.to_network_channels(images), model.cascade.heatmap_windows)
        return out


class JointStage(BackboneStage):
    """Stage 4: backbone and cascade together, L_mt + lambda_r L_CR.

    The gradient of the cascade's loss reaches the backbone through the features and the heatmaps that the cascade
    samples, not through x_0: the head pose is trained by the pose loss alone.
    """

    def __init__(self, model: SPIGA, config: TrainConfig, stage: StageConfig) -> None:
        super().__init__(model, config, stage, with_pose=True, cascade=True)
        model.cascade.requires_grad_(True)

    def loss(self, images: Tensor, pos: Tensor, mask: Tensor, **known: Tensor) -> dict[str, Tensor]:
        """The losses of the hourglasses, and that of the coordinates of every step."""
        outputs = self._stacks(images)
        _, steps = self.refine(outputs[-1])
        cascade = self.config.loss.cascade * cascade_loss(steps, pos, mask)
        return {**self.stack_losses(outputs, pos, mask), "cascade": cascade}

    def predict(self, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """The predictions of the last hourglass and of the cascade."""
        last = self._stacks(images)[-1]
        initial, steps = self.refine(last)
        return last.pose, [initial, last.landmarks, *steps]
