"""Distribute work on many items over several processes, on one or more machines."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from pyspiga_geo.inference.aligner import as_device

_AT_ONCE = 64
"""Number of items that a process works on at once."""


def share_out(
    items: Sequence[Any], work: Callable[[Sequence[Any], int], int], device: str, devices: int, num_nodes: int
) -> tuple[int, bool]:
    """Let each process do its share of the items, by the predict loop of the training engine (Lightning).

    The engine starts the processes, or finds those that torchrun or SLURM has started.

    Args:
        items: the items to work on; of W processes, process r does items r, r + W, ...
        work: called with some items and r; does them and returns the number of those that failed.
        device: what the processes run on: ``"cpu"``, ``"cuda"``, ``"mps"``.
        devices: processes on each machine.
        num_nodes: machines.

    Returns:
        The number of failures in all processes, and whether this is the process that puts the results together. When
        this returns, all processes have done their work.

    Raises:
        ValueError: without the engine, which the extra ``train`` installs; for a device that is not available.
    """
    try:
        from lightning.pytorch import LightningModule, Trainer
    except ImportError as error:
        raise ValueError(f"several processes need more packages: pip install 'pyspiga-geo[train]' ({error})") from error

    class Share(LightningModule):
        failed = 0

        def predict_step(self, batch: Sequence[Any]) -> None:
            self.failed += work(batch, self.global_rank)

    share = Share()
    trainer = Trainer(
        accelerator=as_device(device).type,
        devices=devices,
        num_nodes=num_nodes,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader: Any = torch.utils.data.DataLoader(list(items), batch_size=_AT_ONCE, collate_fn=list)  # type: ignore[arg-type]
    trainer.predict(share, loader, return_predictions=False)
    failed = trainer.strategy.reduce(torch.tensor(share.failed, device=share.device), reduce_op="sum")
    trainer.strategy.barrier()
    return int(failed), trainer.is_global_zero
