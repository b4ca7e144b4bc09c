"""Photometric augmentation, on whole batches."""

import kornia.augmentation as K
from torch import nn

from pyspiga_geo.training.config import AugmentationConfig


def photometric(config: AugmentationConfig) -> nn.Module:
    """Random colour, grey, blur and occlusion of images [B, 3, H, W] in 0..1, drawn for each image apart."""
    change = config.brightness
    return nn.Sequential(
        K.ColorJitter(change, change, change, config.hue, p=0.9),
        K.RandomGrayscale(p=config.grey),
        K.RandomGaussianBlur((5, 5), (0.5, 1.5), p=config.blur, separable=False),
        K.RandomErasing((0.02, 0.15), p=config.occlusion),
    )
