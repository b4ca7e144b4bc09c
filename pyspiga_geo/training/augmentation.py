"""Random augmentation of training crops: some of it face by face in the loader, the costly part on whole batches."""

import warnings

import kornia.augmentation as K
from torch import nn
from torch_geometric.transforms import BaseTransform, Compose

from pyspiga_geo.data.transforms import (
    RandomAffine,
    RandomBlur,
    RandomColorJitter,
    RandomFlip,
    RandomLighting,
    RandomOcclusion,
    Resample,
    SquareCrop,
)
from pyspiga_geo.layouts import Layout
from pyspiga_geo.training.config import AugmentationConfig


def random_crop(config: AugmentationConfig, layout: Layout, resolution: int, crop_scale: float) -> Compose:
    """Build the transform from a photo to a random crop, possibly with an occluder; it is applied face by face.

    Without a mirror order no face is mirrored; a warning says so if the configuration asks for it.

    Args:
        config: ranges and probabilities.
        layout: has the mirror order.
        resolution: side of the crop in pixels.
        crop_scale: side of the crop over the longer side of the box.
    """
    changes: list[BaseTransform] = [SquareCrop(resolution, crop_scale)]
    if layout.flip is not None:
        changes.append(RandomFlip(resolution, layout, config.flip))
    elif config.flip:
        warnings.warn(f"layout {layout.name!r} has no mirror order (flip): training mirrors no pictures", stacklevel=2)
    changes += [RandomAffine(resolution, config.degrees, config.scale, config.shift, config.stretch)]
    changes.append(Resample(resolution))
    if config.occlusion and config.occlusion_size is not None:
        changes.append(RandomOcclusion(resolution, config.occlusion_size, config.occlusion, config.occluders))
    return Compose(changes)


def photometric(config: AugmentationConfig) -> nn.Sequential:
    """Random lighting, colour, blur and black rectangles for images [B, 3, H, W] in 0..1, drawn for each image."""
    modules: list[nn.Module] = []
    if config.brightness or config.hue or config.grey:
        modules.append(RandomColorJitter(config.brightness, config.hue, config.grey).module)
    if config.hsv:
        modules.append(RandomLighting(config.hsv).module)
    if config.blur:
        modules.append(RandomBlur(config.blur_sigma, config.blur).module)
    if config.occlusion and config.occlusion_size is None:
        modules.append(K.RandomErasing((0.02, 0.15), p=config.occlusion))
    return nn.Sequential(*modules)
