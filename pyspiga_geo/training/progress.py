"""Progress of a run as lines of text, for log files and batch systems, where a progress bar is of no use."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

_UNITS = {"nme": " %", "pose": " degrees"}


class EpochLines(Callback):
    """Prints a line after each epoch: mean loss, figures of the validation faces, and the remaining time.

    Args:
        stage: name of the stage.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.losses: list[torch.Tensor] = []
        self.first, self.start = 0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the step at which this process starts: not 0 in a resumed run."""
        self.first, self.start = trainer.current_epoch, time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the losses of the previous epoch."""
        self.losses = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Keep the loss."""
        self.losses.append(outputs["loss"].detach())  # no number yet: a GPU would be waited for

    @rank_zero_only
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line; validation is over by now."""
        done, last = trainer.current_epoch + 1, int(trainer.max_epochs or 0)
        figures = [
            f"{name.removeprefix('val/')} {float(value):.2f}{_UNITS.get(name[4:].partition('_')[0], '')}"
            for name, value in trainer.callback_metrics.items()
            if name.startswith(("val/nme", "val/pose"))
        ]
        left = (time.monotonic() - self.start) / (done - self.first) * (last - done)
        told = [
            f"loss {torch.stack(self.losses).mean():.4g}",
            *figures,
            *([f"{_duration(left)} left"] if done < last else []),
        ]
        print(f"{self.stage}, epoch {done} of {last}: {', '.join(told)}", flush=True)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
