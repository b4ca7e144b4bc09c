"""What weights of one layout lend to a model of another: the backbone, but for what depends on the landmarks."""

from dataclasses import replace

import torch
from torch.utils.data import Subset
from torch_geometric.loader import DataLoader

from pyspiga_geo.backbones import PoseHead
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import SPIGA, PosedShape
from pyspiga_geo.training.sampling import Faces
from pyspiga_geo.training.targets import true_poses

_FACES = 48
"""Faces from which the size of the new rigid shape is taken."""


def lend_backbone(lender: SPIGA, layout: Layout) -> tuple[SPIGA, int]:
    """A new model of another layout with the tensors of the lender's backbone that fit it, and how many these are.

    It has no uncertainty head: the stage that trains one makes one.
    """
    model = SPIGA.from_config(replace(lender.config, uncertainty=False), layout)
    wanted = model.state_dict()
    kept = {
        name: value
        for name, value in lender.state_dict().items()
        if name.startswith("backbone.") and name in wanted and wanted[name].shape == value.shape
    }
    model.load_state_dict(wanted | kept)
    return model, len(kept)


@torch.no_grad()
def match_unit(model: SPIGA, faces: Faces) -> None:
    """Let borrowed pose heads count translations in the unit of the model's own rigid shape.

    They count in the unit of the lender's. The ratio of the two is taken from training faces: how far the rigid shape
    must be to fit the true landmarks, over how far the heads say it is; the median counts.

    Args:
        model: changed in place; without a posed start nothing changes.
        faces: crops for training.
    """
    if not isinstance(model.start, PosedShape):
        return
    batch = next(iter(DataLoader(Subset(faces, range(min(_FACES, len(faces)))), batch_size=_FACES)))
    shape = (len(batch.image), len(model.layout))
    pos, mask = batch.pos.view(*shape, 2), batch.mask.view(shape)
    true = true_poses(batch, pos, mask, model.layout, model.config.focal_ratio)[:, 5]
    was_training = model.training
    seen = model.eval().backbone(model.to_network_channels(batch.image)).pose[:, 5]
    model.train(was_training)
    ratio = (true / seen)[(true > 0) & (seen > 0)]  # NaN, where a pose cannot be told, is neither
    if len(ratio):
        for head in (module for module in model.backbone.modules() if isinstance(module, PoseHead)):
            head.rescale(ratio.median().to(head.weight))
