"""SPIGA: backbone, start and cascade, with presets, checkpoints and the authors' weights.

Backbones have a subpackage of their own, :mod:`pyspiga_geo.backbones`; the names that used to be here can still be
imported from here.
"""

from pyspiga_geo.backbones import BackboneOutput as BackboneOutput
from pyspiga_geo.backbones import MultitaskHourglass as MultitaskHourglass
from pyspiga_geo.backbones import StackOutput as StackOutput
from pyspiga_geo.backbones import soft_argmax as soft_argmax
from pyspiga_geo.models.authors import reference_model
from pyspiga_geo.models.checkpoint import CheckpointError, read_about
from pyspiga_geo.models.config import PRESETS, SPIGAConfig, make_config
from pyspiga_geo.models.output import SPIGAOutput
from pyspiga_geo.models.spiga import SPIGA
from pyspiga_geo.models.start import MeanShape, PosedShape, Start

__all__ = [
    "PRESETS",
    "SPIGA",
    "CheckpointError",
    "MeanShape",
    "PosedShape",
    "SPIGAConfig",
    "SPIGAOutput",
    "Start",
    "make_config",
    "read_about",
    "reference_model",
]
