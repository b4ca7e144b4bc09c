"""The multi-layer perceptron on node features."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch_geometric.nn import MLP

NORMS = ("batch_norm", "layer_norm", "none")
"""How :class:`NodeMLP` normalises. Batch norm cannot be trained on a single node."""


class NodeMLP(nn.Module):
    """Linear layers with bias on the last dimension; normalisation and ReLU after each but the last.

    A static graph ``[B, L, C]`` is normalised over its B x L nodes, the channels being the last dimension. Nodes that
    do not exist do not count in the statistics of batch norm.

    Args:
        channels: sizes from input to output, two or more.
        norm: ``"batch_norm"``, ``"layer_norm"`` (over the channels of each node) or ``"none"``.

    Raises:
        ValueError: for an unknown norm.

    Example:
        >>> import torch
        >>> NodeMLP([16, 32, 2])(torch.rand(4, 68, 16)).shape
        torch.Size([4, 68, 2])
    """

    def __init__(self, channels: Sequence[int], norm: str = "batch_norm") -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"unknown norm {norm!r}; known: {', '.join(NORMS)}")
        options = {"mode": "node"} if norm == "layer_norm" else None
        kind = None if norm == "none" else norm
        self.mlp = MLP(list(channels), norm=kind, norm_kwargs=options, act="relu", dropout=0.0)
        self.norm = norm

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply the layers to each node.

        Args:
            x: [..., channels[0]].
            mask: [...] bool, the nodes that exist. Default: all.

        Returns:
            [..., channels[-1]].
        """
        nodes = x.reshape(-1, x.size(-1)).to(self.mlp.lins[0].weight.dtype)  # positions may be more precise
        if mask is not None and self.norm == "batch_norm" and self.training:
            rows = mask.flatten().nonzero().squeeze(1)
            seen: Tensor = self.mlp(nodes[rows])
            out = seen.new_zeros(nodes.size(0), seen.size(-1)).index_copy(0, rows, seen)
        else:
            out = self.mlp(nodes)
        return out.unflatten(0, x.shape[:-1])
