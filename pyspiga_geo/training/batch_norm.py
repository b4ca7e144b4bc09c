"""Batch norm over the batches of all processes that train together, and the engine's plugin for it."""

import torch
import torch.distributed as dist
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyspiga_geo.training.distributed import sum_over_processes, world_size


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes, on any device; torch's own needs a GPU.

    Inputs are [B, C, ...]; mean and variance are computed in single precision or better.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"batch norm needs [B, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in evaluation with the running statistics."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        across = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        count = sum_over_processes(values.new_tensor(values.numel() / self.num_features))
        mean = sum_over_processes(values.sum(across)) / count
        centred = values - mean.view(shape)
        variance = sum_over_processes(centred.square().sum(across)) / count
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.detach().to(self.running_mean), self.momentum or 0)
        unbiased = variance.detach() * count / (count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum or 0)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


class BatchNormSync(LayerSync):
    """Engine plugin that replaces batch norm if several processes train: by PyTorch's on GPUs, else by ours."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace every batch norm; weights, statistics and names stay."""
        if dist.get_backend() == "nccl":
            return nn.SyncBatchNorm.convert_sync_batchnorm(model)
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, _BatchNorm):
                    synced = SyncBatchNorm(child.num_features, child.eps, child.momentum)
                    synced.__dict__.update(vars(child))  # the same parameters and buffers
                    setattr(module, name, synced)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Leave the model as it is: the next stage synchronises again anyway, and evaluation mode does not."""
        return model
