"""The protocol of backbones: any module that computes head pose, feature maps and heatmaps of a crop."""

from typing import NamedTuple, Protocol

from torch import Tensor, nn


class BackboneOutput(NamedTuple):
    """Output of a :class:`Backbone` at inference: what start and cascade need.

    Example:
        >>> import torch
        >>> BackboneOutput(pose=None, maps=[torch.zeros(1, 8, 16, 16)], heatmaps=None).maps[0].shape
        torch.Size([1, 8, 16, 16])
    """

    pose: Tensor | None
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape. None without a pose head."""
    maps: list[Tensor]
    """Feature maps [B, C, h, w], coarse to fine."""
    heatmaps: Tensor | None
    """On request, the logarithm of each landmark's density [B, L, h, w], up to a constant."""


class StackOutput(NamedTuple):
    """Output that training supervises, one per stack; heatmaps have h x w pixels.

    Example:
        >>> import torch
        >>> from pyspiga_geo.backbones import EncoderDecoder
        >>> (stack,) = EncoderDecoder(torch.eye(5), channels=(16, 8)).forward_stacks(torch.rand(2, 3, 64, 64))
        >>> stack.landmarks.shape, stack.boundaries.shape
        (torch.Size([2, 5, 2]), torch.Size([2, 4, 16, 16]))
    """

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
    """What :class:`~pyspiga_geo.models.SPIGA` requires of its backbone, a :class:`torch.nn.Module`.

    Attributes:
        channels: Channels of each feature map, coarse to fine.
        strides: Image pixels per pixel of each feature map, coarse to fine.

    Example:
        >>> import torch
        >>> from pyspiga_geo.backbones import EncoderDecoder
        >>> backbone: Backbone = EncoderDecoder(torch.eye(5), channels=(16, 8))
        >>> backbone.channels, backbone.strides
        ((16, 8), (8, 4))
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, images: Tensor, return_heatmaps: bool = False) -> BackboneOutput:
        """Compute what inference needs, and nothing that only training needs.

        Args:
            images: crops [B, 3, S, S], float RGB in 0..1.
            return_heatmaps: also compute the heatmaps.

        Returns:
            Pose, maps and, on request, heatmaps.
        """

    def pose_modules(self) -> list[nn.Module]:
        """Modules that serve the head pose alone: a training stage without pose leaves them unchanged."""

    def forward_stacks(self, images: Tensor) -> list[StackOutput]:
        """Compute what training supervises.

        Args:
            images: crops [B, 3, S, S], float RGB in 0..1.

        Returns:
            One output per stack, first to last; the last holds what ``__call__`` returns.
        """
