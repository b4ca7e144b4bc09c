"""Backbones by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones.encoder_decoder import EncoderDecoder
from pyspiga_geo.backbones.multitask_hourglass import MultitaskHourglass
from pyspiga_geo.layouts import Layout

BackboneFactory = Callable[[Any, Layout], nn.Module]
"""A function (:class:`~pyspiga_geo.models.SPIGAConfig`, layout) -> :class:`Backbone`."""


def _hourglass(config: Any, layout: Layout) -> nn.Module:
    return MultitaskHourglass(_boundaries(layout), config.image_size, config.channels, config.num_stacks, config.depth)


def _encoder_decoder(config: Any, layout: Layout) -> nn.Module:
    return EncoderDecoder(_boundaries(layout), pose=layout.shape3d is not None, **config.backbone_options)


def _boundaries(layout: Layout) -> Tensor:
    return torch.tensor(layout.boundary_matrix, dtype=torch.get_default_dtype())


_BACKBONES: dict[str, BackboneFactory] = {"hourglass": _hourglass, "encoder_decoder": _encoder_decoder}


def register_backbone(name: str, factory: BackboneFactory) -> None:
    """Register your own backbone by name, so that configurations and weights files can refer to it.

    Args:
        name: the name to use in ``SPIGAConfig(backbone=name)``.
        factory: builds it; ``config.backbone_options`` are meant for it.

    Raises:
        ValueError: if another backbone has this name.

    Example:
        >>> register_backbone("wide", lambda config, layout: MultitaskHourglass(_boundaries(layout), channels=512))
    """
    if _BACKBONES.get(name, factory) is not factory:
        raise ValueError(f"a backbone named {name!r} exists already")
    _BACKBONES[name] = factory


def make_backbone(config: Any, layout: Layout) -> nn.Module:
    """Build the backbone that ``config.backbone`` names.

    Args:
        config: a :class:`~pyspiga_geo.models.SPIGAConfig`.
        layout: the landmark set.

    Returns:
        The module, a :class:`Backbone`.

    Raises:
        ValueError: for an unknown name, or settings that do not fit.

    Example:
        >>> from pyspiga_geo import SPIGAConfig, get_layout
        >>> make_backbone(SPIGAConfig(channels=32, num_stacks=1), get_layout("ibug68")).channels
        (32,)
    """
    if config.backbone not in _BACKBONES:
        raise ValueError(f"unknown backbone {config.backbone!r}; known: {', '.join(_BACKBONES)}")
    return _BACKBONES[config.backbone](config, layout)
