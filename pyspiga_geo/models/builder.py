"""From a configuration to the three parts of a model."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import EncoderDecoder, MultitaskHourglass, PoseHead
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models.config import SPIGAConfig
from pyspiga_geo.models.start import MeanShape, PosedShape
from pyspiga_geo.nn import SPIGACascade

T = TypeVar("T")

BackboneFactory = Callable[[SPIGAConfig, Layout], nn.Module]
"""A function (configuration, layout) -> :class:`~pyspiga_geo.models.Backbone`."""


def _hourglass(config: SPIGAConfig, layout: Layout) -> nn.Module:
    return MultitaskHourglass(
        _boundaries(layout), config.image_size, config.channels, config.num_stacks, config.depth
    )


def _encoder_decoder(config: SPIGAConfig, layout: Layout) -> nn.Module:
    return EncoderDecoder(_boundaries(layout), pose=layout.shape3d is not None, **config.backbone_options)


def _boundaries(layout: Layout) -> Tensor:
    return torch.tensor(layout.boundary_matrix, dtype=torch.get_default_dtype())


_BACKBONES: dict[str, BackboneFactory] = {"hourglass": _hourglass, "encoder_decoder": _encoder_decoder}


def register_backbone(name: str, factory: BackboneFactory) -> None:
    """Make a backbone of one's own known, so that configurations and weights files can name it.

    Args:
        name: what ``SPIGAConfig(backbone=name)`` says.
        factory: makes it; ``config.backbone_options`` are for it.

    Raises:
        ValueError: when another backbone has this name.
    """
    if _BACKBONES.get(name, factory) is not factory:
        raise ValueError(f"a backbone named {name!r} exists already")
    _BACKBONES[name] = factory


def build_parts(config: SPIGAConfig, layout: Layout) -> tuple[nn.Module, nn.Module, SPIGACascade]:
    """Backbone, start and cascade.

    Raises:
        ValueError: for an unknown backbone, settings that do not fit, or a layout without the shape to start from.
    """
    if config.backbone not in _BACKBONES:
        raise ValueError(f"unknown backbone {config.backbone!r}; known: {', '.join(_BACKBONES)}")
    start = _start(config, layout)
    backbone = _BACKBONES[config.backbone](config, layout)
    if isinstance(start, PosedShape):
        for module in backbone.modules():
            if isinstance(module, PoseHead):
                module.aim(start.frontal_distance(config.crop_scale))
    settings = {field.name for field in fields(SPIGAConfig)} & set(inspect.signature(SPIGACascade).parameters)
    channels: tuple[int, ...] = backbone.channels  # type: ignore[assignment]  # Backbone's attribute
    cascade = SPIGACascade(
        len(layout),
        coarse_to_fine(channels, config.num_steps),
        **{name: getattr(config, name) for name in settings},
    )
    return backbone, start, cascade


def _start(config: SPIGAConfig, layout: Layout) -> nn.Module:
    if config.start == "posed":
        if layout.shape3d is None:
            raise ValueError(f"layout {layout.name!r} has no rigid 3-D shape: start='mean' does without")
        return PosedShape(layout.shape3d, config.map_size, config.focal_ratio)
    mean = layout.mean_shape
    if mean is None:
        raise ValueError(f"layout {layout.name!r} has no mean shape, which start='mean' needs")
    return MeanShape(0.5 + np.asarray(mean) / config.crop_scale)


def coarse_to_fine(maps: Sequence[T], num_steps: int) -> list[T]:
    """Which of M maps each step looks at: step t the t-th, the finest for all the steps after.

    Example:
        >>> coarse_to_fine(["coarse", "fine"], 3)
        ['coarse', 'fine', 'fine']
    """
    return [maps[min(step, len(maps) - 1)] for step in range(num_steps)]
