"""Batch norm folded into the layer before it: the same function in fewer steps."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_weights

from pyspiga_geo.backbones.encoder_decoder import LiteConv, PlainBlock
from pyspiga_geo.backbones.hourglass import ConvBlock, Residual, UpBlock
from pyspiga_geo.nn.mlp import NodeMLP

PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    ConvBlock: (("conv", "bn"),),
    LiteConv: (("conv", "bn"),),
    PlainBlock: (("second", "bn"),),
    UpBlock: (("deconv", "bn"),),
    Residual: (("conv1", "bn2"), ("conv2", "bn3")),  # bn1 stands before a ReLU: it cannot be folded forwards
}
"""Convolutions and the batch norms that follow them with nothing between."""


def fold_batch_norm(model: nn.Module) -> None:
    """Fold, in place, what :data:`PAIRS` lists and the batch norms of every :class:`NodeMLP`.

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
