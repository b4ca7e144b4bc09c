"""Start a model from weights of another layout: the backbone, without the layers that depend on the landmarks."""

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
    """Build a model of another layout with the tensors of the lender's backbone that fit; also return their number.

    The model has no uncertainty head: the stage that trains one adds it.
    """
    model = SPIGA.from_config(replace(lender.config, uncertainty=False, shape_modes=0), layout)
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
    """Rescale borrowed pose heads, so that their translations are in the unit of the model's own rigid shape.

    They were in the unit of the lender's. The factor is the median ratio, over training faces, of the distance at which
    the rigid shape fits the true landmarks to the distance that the heads estimate.

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
