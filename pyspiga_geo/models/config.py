"""Configuration of a SPIGA model and its presets. Presets are data: defaults < preset < keyword arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pyspiga_geo.nn import ConvFactory
from pyspiga_geo.settings import Allowed, Range, Whole, check_settings, refuse_code, shown

_ALLOWED: Allowed = {
    "image_size": Whole(1, 8192),
    "channels": Whole(1, 8192),
    "num_stacks": Whole(1, 64),
    "depth": Whole(0, 12),
    "focal_ratio": Range(0, 1000, above=True),
    "crop_scale": Range(0, 1000, above=True),
    "num_steps": Whole(0, 64),
    "num_layers": Whole(0, 64),
    "heads": Whole(1, 1024),
    "dropout": Range(0, 1, below=True),
    "node_channels": Whole(1, 8192),
    "hidden_channels": Whole(1, 8192),
    "samples": Whole(1, 128),
    "shape_modes": Whole(0, 8192),
}
_WINDOW = Range(0, 1000, above=True)


@dataclass(frozen=True)
class SPIGAConfig:
    """Everything that defines a model except its landmarks. The defaults are the paper's.

    Args:
        image_size: side of the square input, pixels.
        channel_order: order in which the network reads the RGB image it is given.
        backbone: ``"hourglass"`` (:class:`~pyspiga_geo.backbones.MultitaskHourglass`), ``"encoder_decoder"``
            (:class:`~pyspiga_geo.backbones.EncoderDecoder`), or a name given to
            :func:`~pyspiga_geo.backbones.register_backbone`.
        backbone_options: settings of such a backbone.
        start: how x_0 is made: ``"posed"`` (:class:`PosedShape`), the layout's rigid face in the estimated pose; or
            ``"mean"`` (:class:`MeanShape`), the layout's mean shape.
        channels: of the hourglass: channels of the feature map.
        num_stacks: of the hourglass: number of stacks.
        depth: of the hourglass: number of halvings inside.
        focal_ratio: focal length of the camera over the size of the map.
        crop_scale: side of the crop over the longer side of the face's box.
        num_steps, num_layers, heads, conv: as in :class:`~pyspiga_geo.nn.SPIGACascade`.
        window, position, norm, pre_norm, dropout: as in :class:`~pyspiga_geo.nn.SPIGACascade`.
        share_steps, node_channels, hidden_channels, samples: as in :class:`~pyspiga_geo.nn.SPIGACascade`.
        bound, include_self, scale, out_proj: as in :class:`~pyspiga_geo.nn.SPIGACascade`.
        heatmap_windows: as in :class:`~pyspiga_geo.nn.SPIGACascade`.
        uncertainty: whether each landmark gets a covariance and a probability of being visible
            (:class:`~pyspiga_geo.nn.UncertaintyHead`, with the last step's ``conv``; in neither paper nor reference).
        shape_modes: modes of the distribution of shapes by which landmarks that are sure correct those that are not
            (:class:`~pyspiga_geo.nn.ShapePrior`; in neither paper nor reference), after the last step. It needs
            ``uncertainty``. 0: no such correction.

    Raises:
        ValueError: if a value is out of range; the message names it.

    Example:
        >>> config = SPIGAConfig(num_steps=2)
        >>> config.num_steps, config.image_size, config.map_size
        (2, 256, 64)
    """

    image_size: int = 256
    channel_order: Literal["rgb", "bgr"] = "rgb"
    backbone: str = "hourglass"
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    start: Literal["posed", "mean"] = "posed"
    channels: int = 256
    num_stacks: int = 4
    depth: int = 4
    focal_ratio: float = 1.5
    crop_scale: float = 1.6
    num_steps: int = 3
    num_layers: int = 4
    heads: int = 1
    conv: str | ConvFactory = "attention"
    window: float | Sequence[float] = 0.25
    position: str = "ordered"
    norm: str = "batch_norm"
    pre_norm: bool = False
    dropout: float = 0.0
    share_steps: bool = False
    node_channels: int = 512
    hidden_channels: int = 256
    samples: int = 7
    bound: Literal["arctan", "hardtanh"] = "arctan"
    include_self: bool = False
    scale: bool = False
    out_proj: bool = False
    heatmap_windows: bool = False
    uncertainty: bool = False
    shape_modes: int = 0

    def __post_init__(self) -> None:
        """Check types and ranges."""
        refuse_code({"conv": self.conv, "backbone_options": self.backbone_options, "position": self.position})
        for name in ("conv", "position"):  # names, or as code of one's own gives them: functions, modules
            value = getattr(self, name)
            parts = value if name == "conv" and isinstance(value, list | tuple) else [value]
            if not all(isinstance(part, str) or callable(part) for part in parts):
                raise ValueError(f"{name} must be a name or a function, got {shown(value)}")
        for window in self.window if isinstance(self.window, list | tuple) else [self.window]:
            if window not in _WINDOW:
                raise ValueError(f"window must be {_WINDOW}, or one for each step, got {shown(self.window)}")
        if not isinstance(self.backbone_options, Mapping) or not all(isinstance(k, str) for k in self.backbone_options):
            raise ValueError(f"backbone_options must be names and values, got {shown(self.backbone_options)}")
        for name, known in (("channel_order", ("rgb", "bgr")), ("start", ("posed", "mean"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {shown(getattr(self, name))}")
        check_settings(self, _ALLOWED, but=("conv", "position"))
        if self.shape_modes and not self.uncertainty:
            raise ValueError(f"shape_modes must be 0 without uncertainty, got {self.shape_modes}")

    @property
    def map_size(self) -> int:
        """Side of the feature map in its pixels."""
        return self.image_size // 4


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "reference": {
        "channel_order": "bgr",
        "heads": 4,
        "bound": "hardtanh",
        "include_self": True,
        "scale": True,
        "out_proj": True,
    },
    "compact": {
        "image_size": 128,
        "channels": 128,
        "crop_scale": 1.4,
        "num_stacks": 2,
        "depth": 3,
        "heads": 4,
        "num_layers": 3,
        "node_channels": 64,
        "hidden_channels": 64,
        "samples": 4,
        "window": 0.5,
        "scale": True,
        "heatmap_windows": True,
    },
}
"""How each preset of :func:`make_config` differs from the defaults of :class:`SPIGAConfig`."""


def make_config(preset: str = "paper", **overrides: Any) -> SPIGAConfig:
    """Configuration of a preset, with some values replaced.

    Args:
        preset: ``"paper"``, ``"reference"`` or ``"compact"``.
        overrides: values by the names of :class:`SPIGAConfig`.

    Returns:
        The configuration.

    Raises:
        ValueError: for an unknown preset or key; the message lists the known ones.

    Example:
        >>> make_config("reference", num_steps=2).num_steps
        2
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    known = [field.name for field in fields(SPIGAConfig)]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise ValueError(f"unknown configuration {', '.join(unknown)}; known: {', '.join(known)}")
    return SPIGAConfig(**{**PRESETS[preset], **overrides})
