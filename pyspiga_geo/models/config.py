"""Configuration of a SPIGA model and its presets. Presets are data: defaults < preset < keyword arguments."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from pyspiga_geo.nn import ConvFactory


@dataclass(frozen=True)
class SPIGAConfig:
    """Everything that shapes a model, but its landmarks. The defaults are the paper's.

    Attributes:
        image_size: side of the square input, pixels.
        channel_order: order in which the network reads the RGB image it is given.
        channels: channels of the feature map.
        num_stacks: hourglasses.
        depth: halvings inside an hourglass.
        focal_ratio: focal length of the camera over the size of the map.
        crop_scale: side of the crop over the longer side of the face's box.
        num_steps: steps of the cascade.
        num_layers: graph layers of a step.
        heads: attention heads.
        conv: graph operator (:func:`pyspiga_geo.nn.make_conv`).
        window: side of the first step's visual window as a fraction of the map.
        node_channels: size of the node features f = v + r.
        hidden_channels: size of the node features after the first layer.
        samples: points along each side of the visual window.
        bound: what keeps a displacement inside its window, ``arctan`` or ``hardtanh``.
        include_self: whether a landmark attends to itself.
        scale: divide the similarity by the root of a head's channels.
        out_proj: linear map of the concatenated messages.
        heatmap_windows: whether each landmark of the cascade also looks at its own heatmap.
    """

    image_size: int = 256
    channel_order: Literal["rgb", "bgr"] = "rgb"
    channels: int = 256
    num_stacks: int = 4
    depth: int = 4
    focal_ratio: float = 1.5
    crop_scale: float = 1.6
    num_steps: int = 3
    num_layers: int = 4
    heads: int = 1
    conv: str | ConvFactory = "attention"
    window: float = 0.25
    node_channels: int = 512
    hidden_channels: int = 256
    samples: int = 7
    bound: Literal["arctan", "hardtanh"] = "arctan"
    include_self: bool = False
    scale: bool = False
    out_proj: bool = False
    heatmap_windows: bool = False

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
"""What each preset of :func:`make_config` changes of the defaults of :class:`SPIGAConfig`."""


def make_config(preset: str = "paper", **overrides: Any) -> SPIGAConfig:
    """Configuration of a preset with some values replaced.

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
