"""Weights of a smaller model from those of a larger one: fewer channels at 1/4 of the image, other crops.

    python scripts/narrow_decoder.py joint.safetensors narrow.safetensors --fine 44 --image-size 224 --crop-scale 1.3
    pyspiga-geo train --weights narrow.safetensors ...

Of the channels of the map at 1/4 of the image, of those between the two convolutions that make it, and of those of the
details from the image itself, the ones with the least influence on what reads them are left out: the least sums of
squared weights there, times the square of the factor of their batch norm. The distance of the head is scaled with the
crop. This is how the compact model that ships became small enough to look at each face twice; it was then trained on.
The model is one with the backbone `encoder_decoder`, and heatmaps at 1/8.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pyspiga_geo import SPIGA
from pyspiga_geo.models import read_about

UP, DETAILS = "backbone.up4", "backbone.details"


def narrowed(model: SPIGA, fine: int, image_size: int, crop_scale: float) -> SPIGA:
    """The smaller model, without uncertainty and shape prior.

    Raises:
        ValueError: if the model has another backbone, heatmaps at 1/4, no pose, no second step of its own weights, or
            fewer channels than are to remain.
    """
    config = model.config
    if config.backbone != "encoder_decoder" or config.backbone_options.get("heatmap_stride", 4) != 8:
        raise ValueError("the model must have the backbone 'encoder_decoder' with heatmap_stride 8")
    if config.num_steps < 2 or config.share_steps or model.backbone.pose is None:
        raise ValueError("the model must estimate the pose, and have two steps or more, each with weights of its own")
    coarse, width = model.backbone.channels
    if not 1 <= fine <= width:
        raise ValueError(f"the map at 1/4 has {width} channels, {fine} of them cannot remain")
    options = {**config.backbone_options, "channels": [coarse, fine]}
    config = replace(
        config,
        image_size=image_size,
        crop_scale=crop_scale,
        backbone_options=options,
        uncertainty=False,
        shape_modes=0,
    )
    smaller = SPIGA.from_config(config, model.layout)
    state = _left(model.state_dict(), width, fine)
    state["camera"] = smaller.start.camera
    smaller.load_state_dict({name: state[name] for name in smaller.state_dict()})
    with torch.no_grad():  # the same head in a tighter crop is nearer
        for parameter in smaller.backbone.pose.parameters():
            parameter[5] *= crop_scale / model.config.crop_scale
    return smaller


def _left(state: dict[str, Tensor], width: int, fine: int) -> dict[str, Tensor]:
    """The state without the channels that are left out."""
    readers = [name for name in state if name.endswith("visual.lin.weight") and name.startswith("cascade.steps.")][1:]
    reads = torch.stack([_squares(state[name].unflatten(1, (width, -1)), 1) for name in readers]).sum(dim=0)
    fourth = state[f"{UP}.fine.weight"].size(1) - width  # channels of the encoder, which come before the details
    kept = _strongest(reads, state[f"{UP}.block.bn.weight"], fine)
    between = _strongest(_squares(state[f"{UP}.block.second.weight"], 1), state[f"{UP}.block.first.bn.weight"], fine)
    details = _strongest(_squares(state[f"{UP}.fine.weight"], 1)[fourth:], state[f"{DETAILS}.bn.weight"], fine)
    inputs = {f"{UP}.block.first.conv.weight": kept, f"{UP}.block.second.weight": between}
    inputs[f"{UP}.fine.weight"] = torch.cat([torch.arange(fourth), fourth + details])
    left = {}
    for name, value in state.items():
        if name in readers:
            value = value.unflatten(1, (width, -1))[:, kept].flatten(1)
        elif value.dim() and name.startswith((f"{UP}.", f"{DETAILS}.")):
            outputs = details if name.startswith(DETAILS) else between if ".block.first." in name else kept
            value = value[outputs]
        left[name] = value[:, inputs[name]] if name in inputs else value
    return left


def _squares(weight: Tensor, dim: int) -> Tensor:
    """Sums of the squared weights, of each entry of a dimension."""
    return weight.transpose(0, dim).flatten(1).square().sum(dim=1)


def _strongest(reads: Tensor, factors: Tensor, number: int) -> Tensor:
    """Which channels have most influence, in their order."""
    return (reads * factors.square()).argsort(descending=True)[:number].sort().values


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="of the larger model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--fine", type=int, required=True, help="channels of the map at 1/4 that remain")
    parser.add_argument("--image-size", type=int, required=True, help="side of the crops, pixels")
    parser.add_argument("--crop-scale", type=float, required=True, help="side of the crop over that of the box")
    options = parser.parse_args(arguments)
    try:
        model = narrowed(SPIGA.from_pretrained(options.weights), options.fine, options.image_size, options.crop_scale)
    except ValueError as error:
        parser.error(str(error))
    names = ("fine", "image_size", "crop_scale")
    done = {"program": Path(__file__).name, **{name: getattr(options, name) for name in names}}
    model.save(options.out, about=done | {"before": read_about(options.weights)})
    print(options.out)


if __name__ == "__main__":
    main()
