"""The multi-layer perceptron on node features."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch_geometric.nn import MLP


class NodeMLP(nn.Module):
    """Linear layers with bias on the last dimension; batch norm and ReLU after each but the last.

    A static graph ``[B, L, C]`` is normalised over its B x L nodes, the channels being the last dimension.

    Args:
        channels: sizes from input to output, two or more.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.mlp = MLP(list(channels), norm="batch_norm", act="relu", plain_last=True, dropout=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., channels[0]] to [..., channels[-1]]."""
        out: Tensor = self.mlp(x.reshape(-1, x.size(-1)))
        return out.reshape(*x.shape[:-1], out.size(-1))
