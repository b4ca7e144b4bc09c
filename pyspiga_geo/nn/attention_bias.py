"""Attention as matrices: which sources each target may attend to, and the attention of edges."""

import torch
from torch import Tensor

Masks = tuple[Tensor, Tensor]
"""Which sources [..., sources] and which targets [..., targets] exist."""


def pairs_exist(masks: Masks, edges: Tensor | None) -> Tensor:
    """Of which edges both ends exist [..., E]; of which pairs [..., targets, sources] without edges."""
    there, here = masks
    if edges is None:
        return here[..., None] & there[..., None, :]
    return there[..., edges[0]] & here[..., edges[1]]


def attention_bias(
    like: Tensor, edges: Tensor | None, edge_bias: Tensor | None, self_loops: bool | None, masks: Masks | None
) -> tuple[Tensor | None, Tensor | None]:
    """What is added to the similarities [..., targets, sources]: -inf where a target must not attend to a source.

    Of ``like`` [targets, sources] shape and type count; ``edge_bias`` [..., E, heads] belongs to ``edges`` or, without
    them, to all pairs [..., targets, sources, heads]; ``self_loops`` is None for two sets of nodes.

    Returns:
        The bias, and which targets [..., targets, 1] have no source: their rows are 0, as a softmax over nothing is
        not a number. None where there is nothing to add, or no such target.
    """
    if edges is None and edge_bias is None and masks is None and self_loops is not False:
        return None, None
    if edges is not None:
        bias = _log_sum(edges, like, like.new_zeros(1) if edge_bias is None else edge_bias.mT)
    else:
        bias = torch.zeros_like(like) if edge_bias is None else edge_bias.movedim(-1, -3)
    if self_loops is not None:
        number = torch.arange(bias.size(-1), device=bias.device)
        diagonal = number[:, None] == number  # much sooner there than torch.eye
        bias = bias.masked_fill(diagonal, 0.0 if self_loops else -torch.inf)
    if masks is not None:
        bias = bias.masked_fill(~pairs_exist(masks, None).unsqueeze(-3), -torch.inf)
    if edges is None and masks is None and (self_loops is None or bias.size(-1) > 1):
        return bias, None
    isolated = bias.isneginf().all(dim=-1, keepdim=True)
    return bias.masked_fill(isolated, 0), isolated


def _log_sum(edges: Tensor, like: Tensor, bias: Tensor) -> Tensor:
    r""":math:`\log \sum_{e: j \to i} \exp(b_e)` of biases [..., E], so that a softmax counts parallel edges."""
    flat = (edges[1] * like.size(1) + edges[0]).expand(*bias.shape[:-1], -1)
    bias = bias.to(torch.promote_types(like.dtype, torch.float32)).expand(flat.shape)
    largest = bias.new_full((*bias.shape[:-1], like.numel()), -torch.inf)
    largest = largest.scatter_reduce(-1, flat, bias.detach(), "amax")
    shift = largest.clamp(min=torch.finfo(bias.dtype).min)  # finite where there is no edge
    total = torch.zeros_like(largest).scatter_add(-1, flat, (bias - shift.gather(-1, flat)).exp())
    summed = torch.where(total > 0, total, 1).log() + shift
    return torch.where(total > 0, summed, -torch.inf).unflatten(-1, like.shape).to(like.dtype)


def dense_attention(edges: Tensor, alpha: Tensor, batch_size: int, targets: int, sources: int) -> Tensor:
    """Attention [E, heads] of the edges of a batch of static graphs as matrices [B, heads, targets, sources]."""
    dense = alpha.new_zeros(batch_size * targets, sources, alpha.size(-1))
    dense = dense.index_put((edges[1], edges[0] % sources), alpha, accumulate=True)
    return dense.unflatten(0, (batch_size, targets)).permute(0, 3, 1, 2)
