"""The moving average of the weights, which is what a run gives."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and batch statistics: a <- d a + (1 - d) w after each step.

    After n steps the decay is d = min(``decay``, (1 + n) / (10 + n)): it grows, so that the first weights are soon
    forgotten. What does not change stays as it is to the bit; counts are copied.

    Args:
        decay: the decay after many steps.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._update)
        self.decay = decay

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the average to the device of the model, which the engine copies before it moves it there."""
        assert self._average_model is not None, "the engine has set this callback up"
        self._average_model.to(pl_module.device)

    def _update(self, averaged: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        """Average tensors of one type, all in one operation: a GPU starts hundreds of small ones too slowly."""
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - min(self.decay, (1 + int(steps)) / (10 + int(steps))))
        else:
            torch._foreach_copy_(averaged, current)
