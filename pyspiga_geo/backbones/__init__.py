"""Backbones: from an image to head pose, feature maps and heatmaps. One backbone per file, all of one protocol."""

from pyspiga_geo.backbones.encoder_decoder import EncoderDecoder
from pyspiga_geo.backbones.heads import LandmarkHead, LandmarkMaps, PoseHead, soft_argmax
from pyspiga_geo.backbones.imagenet import load_imagenet_weights
from pyspiga_geo.backbones.lite import LiteEncoder
from pyspiga_geo.backbones.multitask_hourglass import MultitaskHourglass
from pyspiga_geo.backbones.protocol import Backbone, BackboneOutput, StackOutput
from pyspiga_geo.backbones.registry import BackboneFactory, make_backbone, register_backbone

__all__ = [
    "Backbone",
    "BackboneFactory",
    "BackboneOutput",
    "EncoderDecoder",
    "LandmarkHead",
    "LandmarkMaps",
    "LiteEncoder",
    "MultitaskHourglass",
    "PoseHead",
    "StackOutput",
    "load_imagenet_weights",
    "make_backbone",
    "register_backbone",
    "soft_argmax",
]
