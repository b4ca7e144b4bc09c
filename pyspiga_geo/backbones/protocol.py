"""What a backbone is: any module that sees head pose, feature maps and heatmaps in a crop."""

from typing import NamedTuple, Protocol

from torch import Tensor, nn


class BackboneOutput(NamedTuple):
    """What the cascade needs."""

    pose: Tensor | None
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape. None without a pose head."""
    maps: list[Tensor]
    """Feature maps [B, C, h, w], coarse to fine."""
    heatmaps: Tensor | None
    """On request, the logarithm of each landmark's density [B, L, h, w], up to a constant."""


class StackOutput(NamedTuple):
    """What training supervises: of one hourglass, or of a backbone that speaks once. Heatmaps have h x w pixels."""

    pose: Tensor | None
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape. None without a pose head."""
    landmarks: Tensor
    """[B, L, 2]: coordinates read from the heatmaps, (x, y), map pixel index / resolution."""
    points: Tensor
    """[B, L, h, w]: point attention, 0..1."""
    boundaries: Tensor
    """[B, E, h, w]: boundary attention, 0..1."""
    maps: list[Tensor]
    """Feature maps [B, C, h, w] for the cascade, coarse to fine."""
    heatmaps: Tensor
    """[B, L, h, w]: logarithm of each landmark's density, up to a constant."""


class Backbone(Protocol):
    """What :class:`~pyspiga_geo.models.SPIGA` asks of its backbone, a :class:`torch.nn.Module`.

    Attributes:
        channels: Channels of each feature map, coarse to fine.
        strides: Image pixels per pixel of each feature map, coarse to fine.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, images: Tensor, return_heatmaps: bool = False) -> BackboneOutput:
        """What inference needs of crops [B, 3, S, S], and nothing that only training needs."""

    def pose_modules(self) -> list[nn.Module]:
        """Modules that serve the head pose alone: a stage of training without pose leaves them as they are."""

    def forward_stacks(self, images: Tensor) -> list[StackOutput]:
        """What training supervises, first to last; the last holds what ``__call__`` returns."""
