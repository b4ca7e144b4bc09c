"""Which source each target may attend to, as a matrix that is added to the similarities."""

import torch
from torch import Tensor


def edge_bias(edge_index: Tensor, num_sources: int, num_targets: int, bias: Tensor) -> Tensor:
    r"""Matrix of log-sums over parallel edges: :math:`\log \sum_{e: j \to i} \exp(b_e)`, -inf without an edge.

    With zero biases it is log(n) for n parallel edges, so that a softmax counts each of them.

    Args:
        edge_index: [2, E] (source, target).
        num_sources: columns.
        num_targets: rows.
        bias: [..., E], one number per edge.

    Returns:
        [..., num_targets, num_sources].
    """
    flat = (edge_index[1] * num_sources + edge_index[0]).expand(bias.shape)
    size = (*bias.shape[:-1], num_targets * num_sources)
    largest = bias.new_full(size, -torch.inf).scatter_reduce(-1, flat, bias.detach(), "amax")
    shift = largest.clamp(min=torch.finfo(bias.dtype).min)  # finite where there is no edge
    total = bias.new_zeros(size).scatter_add(-1, flat, (bias - shift.gather(-1, flat)).exp())
    present = total > 0
    summed = torch.where(present, total, 1).log() + shift
    return torch.where(present, summed, -torch.inf).unflatten(-1, (num_targets, num_sources))


def with_diagonal(bias: Tensor, include_self: bool) -> Tensor:
    """Replace the diagonal of [..., L, L]: 0 where a node attends to itself, else -inf."""
    diagonal = torch.eye(bias.size(-1), dtype=torch.bool, device=bias.device)
    return bias.masked_fill(diagonal, 0.0 if include_self else -torch.inf)


def open_isolated(bias: Tensor) -> tuple[Tensor, Tensor]:
    """Find the rows [..., L, 1] without any source, and open them: a softmax over nothing is not a number.

    What such targets receive is to be set to zero afterwards.
    """
    isolated = bias.isneginf().all(dim=-1, keepdim=True)
    return bias.masked_fill(isolated, 0), isolated
