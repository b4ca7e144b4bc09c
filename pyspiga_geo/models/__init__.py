"""SPIGA: backbone, pose initialisation and cascade, with presets, checkpoints and the authors' weights."""

from pyspiga_geo.models.backbones import BackboneOutput, MultitaskHourglass, StackOutput, soft_argmax
from pyspiga_geo.models.checkpoint import CheckpointError
from pyspiga_geo.models.config import PRESETS, SPIGAConfig, make_config
from pyspiga_geo.models.output import SPIGAOutput
from pyspiga_geo.models.spiga import SPIGA, reference_model

__all__ = [
    "PRESETS",
    "SPIGA",
    "BackboneOutput",
    "CheckpointError",
    "MultitaskHourglass",
    "SPIGAConfig",
    "SPIGAOutput",
    "StackOutput",
    "make_config",
    "reference_model",
    "soft_argmax",
]
