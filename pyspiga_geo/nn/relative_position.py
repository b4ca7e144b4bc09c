"""Where each landmark is, told by where all the others are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyspiga_geo.nn.mlp import NodeMLP


class RelativePositionEncoder(nn.Module):
    r"""Embed the displacements of each landmark to all others: r_i = MLP(p_i - p_j for j != i, in order).

    The L - 1 displacements are laid side by side, so that the encoding knows which landmark is which; it
    needs a fixed, ordered set of landmarks.

    Args:
        num_landmarks: L, two or more.
        out_channels: size of the embedding.
        hidden_channels: sizes of the layers between.

    Shapes:
        - **pos**: ``[B, L, 2]``, (x, y) over the crop, pixel index divided by resolution
        - **output**: ``[B, L, out_channels]``
    """

    others: Tensor

    def __init__(
        self, num_landmarks: int, out_channels: int, hidden_channels: Sequence[int] = (256, 256)
    ) -> None:
        super().__init__()
        if num_landmarks < 2:
            raise ValueError(f"num_landmarks must be at least 2, got {num_landmarks}")
        self.num_landmarks = num_landmarks
        self.mlp = NodeMLP([2 * (num_landmarks - 1), *hidden_channels, out_channels])
        others = (~torch.eye(num_landmarks, dtype=torch.bool)).nonzero()[:, 1]
        self.register_buffer("others", others.view(num_landmarks, -1), persistent=False)

    def forward(self, pos: Tensor) -> Tensor:
        """Embed positions [B, L, 2]."""
        displacement = pos.unsqueeze(2) - pos[:, self.others]  # [B, L, L - 1, 2]
        out: Tensor = self.mlp(displacement.flatten(2))
        return out
