"""SPIGA: backbone, start and cascade, with presets, checkpoints and the authors' weights."""

from pyspiga_geo.backbones import (
    Backbone,
    BackboneFactory,
    BackboneOutput,
    MultitaskHourglass,
    StackOutput,
    register_backbone,
    soft_argmax,
)
from pyspiga_geo.models.checkpoint import CheckpointError
from pyspiga_geo.models.config import PRESETS, SPIGAConfig, make_config
from pyspiga_geo.models.output import SPIGAOutput
from pyspiga_geo.models.spiga import SPIGA, reference_model
from pyspiga_geo.models.start import MeanShape, PosedShape, Start

__all__ = [
    "PRESETS",
    "SPIGA",
    "Backbone",
    "BackboneFactory",
    "BackboneOutput",
    "CheckpointError",
    "MeanShape",
    "MultitaskHourglass",
    "PosedShape",
    "SPIGAConfig",
    "SPIGAOutput",
    "StackOutput",
    "Start",
    "make_config",
    "reference_model",
    "register_backbone",
    "soft_argmax",
]
