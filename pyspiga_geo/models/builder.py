"""From a configuration to the parts of a model."""

import inspect
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from torch import nn

from pyspiga_geo.backbones import PoseHead, make_backbone
from pyspiga_geo.layouts import Layout
from pyspiga_geo.layouts.mean_shape import fit_box
from pyspiga_geo.models.config import SPIGAConfig
from pyspiga_geo.models.start import MeanShape, PosedShape
from pyspiga_geo.nn import ShapePrior, SPIGACascade, UncertaintyHead

T = TypeVar("T")


def build_parts(config: SPIGAConfig, layout: Layout) -> tuple[nn.Module, nn.Module, SPIGACascade]:
    """Backbone, start and cascade.

    Raises:
        ValueError: for an unknown backbone, settings that do not fit, or a layout without the shape to start from.
    """
    start = _start(config, layout)
    backbone = make_backbone(config, layout)
    if isinstance(start, PosedShape):
        for module in backbone.modules():
            if isinstance(module, PoseHead):
                module.aim(start.frontal_distance(config.crop_scale))
    settings = {field.name for field in fields(SPIGAConfig)} & set(inspect.signature(SPIGACascade).parameters)
    channels: tuple[int, ...] = backbone.channels  # type: ignore[assignment]  # Backbone's attribute
    cascade = SPIGACascade(
        len(layout), coarse_to_fine(channels, config.num_steps), **{name: getattr(config, name) for name in settings}
    )
    return backbone, start, cascade


def build_uncertainty(config: SPIGAConfig, layout: Layout, backbone: nn.Module) -> UncertaintyHead:
    """Build the head that estimates the uncertainty of each landmark, with the graph operator of the last step.

    Raises:
        ValueError: if there are no steps whose features it could read, or heads do not divide them.
    """
    if not config.num_steps:
        raise ValueError("uncertainty needs a cascade of one step or more (num_steps), whose node features it reads")
    *_, finest = backbone.channels  # type: ignore[misc]  # Backbone's attribute
    channels = config.hidden_channels if config.num_layers else config.node_channels
    *_, conv = config.conv if isinstance(config.conv, list | tuple) else [config.conv]
    return UncertaintyHead(len(layout), channels, finest, config.heads, conv=conv)


def build_shape_prior(config: SPIGAConfig, layout: Layout) -> ShapePrior | None:
    """Build what corrects the landmarks by the distribution of shapes, if there is to be any.

    Raises:
        ValueError: if the layout has too few landmarks for so many modes.
    """
    if not config.shape_modes:
        return None
    try:
        return ShapePrior(len(layout), config.shape_modes)
    except ValueError as error:
        raise ValueError(f"shape_modes {config.shape_modes} does not fit layout {layout.name!r}: {error}") from error


def build_knowledge(config: SPIGAConfig, layout: Layout, backbone: nn.Module) -> dict[str, Any]:
    """How sure the model is, and which shapes there are: uncertainty head and shape prior, as far as configured."""
    head = build_uncertainty(config, layout, backbone) if config.uncertainty else None
    return {"uncertainty": head, "shape_prior": build_shape_prior(config, layout)}


def add_uncertainty(model: Any, shape_modes: int) -> Any:
    """What :meth:`SPIGA.with_uncertainty` returns; see there."""
    shape_modes = shape_modes or model.config.shape_modes
    if model.uncertainty is not None and shape_modes == model.config.shape_modes:
        return model
    if not model.built:
        raise ValueError("a model not built from a configuration takes its head as SPIGA(..., uncertainty=...)")
    config, layout = replace(model.config, uncertainty=True, shape_modes=shape_modes), model.layout
    knowledge = build_knowledge(config, layout, model.backbone)
    knowledge["uncertainty"] = model.uncertainty or knowledge["uncertainty"]
    return type(model)(model.backbone, model.start, model.cascade, layout, config=config, **knowledge)


def _start(config: SPIGAConfig, layout: Layout) -> nn.Module:
    if config.start == "posed":
        if layout.shape3d is None:
            raise ValueError(f"layout {layout.name!r} has no rigid 3-D shape: start='mean' does not need one")
        return PosedShape(layout.shape3d, config.map_size, config.focal_ratio)
    mean = layout.mean_shape
    if mean is None and layout.shape3d is not None:
        mean = fit_box(layout.shape3d[:, 1:] * [-1, 1])  # seen from the front: Y to the face's right, Z down
    if mean is None:
        raise ValueError(f"layout {layout.name!r} has no mean shape, which start='mean' needs")
    return MeanShape(0.5 + mean / config.crop_scale)


def coarse_to_fine(maps: Sequence[T], num_steps: int) -> list[T]:
    """Which of M maps each step reads: step t the t-th, and all further steps the finest.

    Example:
        >>> coarse_to_fine(["coarse", "fine"], 3)
        ['coarse', 'fine', 'fine']
    """
    return [maps[min(step, len(maps) - 1)] for step in range(num_steps)]
