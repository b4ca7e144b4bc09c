"""Batch norm and padding folded into the layers before and after: the same function in fewer operations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_weights

from pyspiga_geo.backbones.encoder_decoder import PlainBlock
from pyspiga_geo.backbones.hourglass import ConvBlock, Residual, UpBlock
from pyspiga_geo.backbones.lite import LiteConv
from pyspiga_geo.nn.mlp import NodeMLP

PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    ConvBlock: (("conv", "bn"),),
    LiteConv: (("conv", "bn"),),
    PlainBlock: (("second", "bn"),),
    UpBlock: (("deconv", "bn"),),
    Residual: (("conv1", "bn2"), ("conv2", "bn3")),  # bn1 stands before a ReLU: it cannot be folded forwards
}
"""Convolutions and the batch norms that follow them with nothing between."""


class ScaleShift(nn.Module):
    """What is left of a batch norm that cannot be folded: x times scale [C, 1, 1] plus shift [C, 1, 1]."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None  # as in every batch norm of this package
        assert norm.running_var is not None
        scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", (norm.bias.detach() - norm.running_mean * scale)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return torch.addcmul(self.shift, x, self.scale)


def fold_batch_norm(model: nn.Module) -> None:
    """Fold, in place, what :data:`PAIRS` lists and the batch norms of every :class:`NodeMLP`; make others two numbers.

    The model must be in evaluation mode, and cannot be trained any more.
    """
    for part in list(model.modules()):
        for conv, bn in PAIRS.get(type(part), ()):
            before, norm = getattr(part, conv), getattr(part, bn)
            setattr(part, conv, fuse_conv_bn_eval(before, norm, isinstance(before, nn.ConvTranspose2d)))
            setattr(part, bn, nn.Identity())
        if isinstance(part, NodeMLP) and part.norm == "batch_norm":
            for index, (lin, norm) in enumerate(zip(part.mlp.lins, part.mlp.norms, strict=False)):  # the last has none
                bn = norm.module
                statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
                lin.weight, lin.bias = fuse_linear_bn_weights(lin.weight, lin.bias, *statistics)
                part.mlp.norms[index] = nn.Identity()
    for part in list(model.modules()):
        for name, norm in list(part.named_children()):
            if type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats:
                part.add_module(name, ScaleShift(norm))


def fold_padding(model: nn.Module) -> None:
    """Give each convolution with one row and column more padding after than before a kernel as much larger, in place.

    The new first row and column are 0, and padding is then the same on all sides, which costs no copy of the map.
    """
    for part in model.modules():
        if isinstance(part, LiteConv) and part.pad:
            before, after, _, _ = part.pad
            grow = after - before
            conv, part.pad = part.conv, None
            conv.weight = nn.Parameter(F.pad(conv.weight, (grow, 0, grow, 0)), requires_grad=False)
            conv.kernel_size = tuple(conv.weight.shape[2:])
            conv.padding = (after, after)
