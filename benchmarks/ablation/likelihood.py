"""How likely the true positions are under the uncertainty that a head learns from a cell's node features."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ablation.cascades import HEADS, CellCascade
from ablation.features import Seen
from ablation.own import load_conv
from pyspiga_geo import Layout
from pyspiga_geo.evaluation import normaliser
from pyspiga_geo.nn import UncertaintyHead
from pyspiga_geo.training.losses import likeliest_spread, masked_mean, negative_log_likelihood, squared_mahalanobis


class Estimate(NamedTuple):
    """Landmarks of F faces, and how uncertain they are; in normalised crop coordinates."""

    pos: Tensor
    """[F, L, 2]."""
    covariance: Tensor
    """[F, L, 2, 2]."""


def make_head(cascade: CellCascade, layout: Layout, channels: int, feature_channels: int) -> UncertaintyHead:
    """The head of a cell; its graph layer has the cell's operator."""
    return UncertaintyHead(len(layout), channels, feature_channels, HEADS, conv=load_conv(cascade.cell.conv))


def estimate(cascade: CellCascade, head: UncertaintyHead, seen: Seen) -> tuple[Estimate, Tensor]:
    """Landmarks with their uncertainty, and the logits [F, L] of visibility; only the head gets a gradient."""
    with torch.no_grad():
        out = cascade.refine(seen)
    said = head(out.x, seen.feature_map, out.pos, cascade.edge_index)
    return Estimate(out.pos, said.covariance), said.visible


def head_loss(cascade: CellCascade, head: UncertaintyHead, seen: Seen) -> Tensor:
    """The loss of the package's stage ``uncertainty``: negative log-likelihood and cross entropy of visibility."""
    found, visible = estimate(cascade, head, seen)
    surprise = negative_log_likelihood(*found, seen.pos, seen.mask)
    hidden = F.binary_cross_entropy_with_logits(visible, seen.visible, reduction="none")
    return masked_mean(surprise + hidden, seen.mask)


def surprises(found: Mapping[str, Estimate], evaluation: Mapping[str, Seen], layout: Layout) -> dict[str, Tensor]:
    """Negative log-likelihood [F, L] of the truth, of faces seen in several ways, one of them ``clear``.

    Positions are in percent of the eye corners' distance, so that 1 nat less is a density e times as high; NaN where
    the truth is not known. Standard deviations are multiplied by the one factor that fits them best, of the faces of
    odd number for those of even number and the other way round, because training faces have smaller errors.
    """
    pos, covariance = found["clear"]
    clear = evaluation["clear"]
    squared, _ = squared_mahalanobis(torch.where(clear.mask[..., None], clear.pos - pos, 0), covariance)
    odd = torch.arange(len(pos)) % 2 == 1
    spreads = [likeliest_spread(squared[half][clear.mask[half]]) for half in (odd, ~odd)]
    spread = torch.where(odd, spreads[1], spreads[0])[:, None, None, None]
    return {name: _surprise(found[name], spread, evaluation[name], layout) for name in found}


def _surprise(found: Estimate, spread: Tensor, seen: Seen, layout: Layout) -> Tensor:
    surprise = negative_log_likelihood(found.pos, spread.square() * found.covariance, seen.pos, seen.mask)
    distance = torch.from_numpy(normaliser(seen.truth().numpy(), layout.ids, "inter_ocular")).to(surprise)
    return torch.where(seen.mask, surprise + 2 * (math.log(100) - distance.log()[:, None]), torch.nan)
