"""Where the cascade starts: x_0, from the output of the backbone."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import BackboneOutput, StackOutput
from pyspiga_geo.geometry import camera_matrix, project


class Start(Protocol):
    """What :class:`~pyspiga_geo.models.SPIGA` requires of its start, a :class:`torch.nn.Module`.

    Example:
        >>> start: Start = MeanShape([[0.3, 0.5], [0.7, 0.5]])
        >>> start(BackboneOutput(None, [], None)).shape
        torch.Size([1, 2, 2])
    """

    def __call__(self, seen: BackboneOutput | StackOutput) -> Tensor:
        """Compute x_0.

        Args:
            seen: the output of the backbone.

        Returns:
            [B, L, 2], or [1, L, 2] if all faces start from the same shape; normalised crop coordinates.
        """


class PosedShape(nn.Module):
    """The rigid 3-D face, projected under the pose that the backbone estimates.

    Args:
        shape3d: [L, 3], world frame of :mod:`pyspiga_geo.geometry.rotation`.
        map_size: side of the feature map in pixels.
        focal_ratio: focal length of the camera over the size of the map.

    Shapes:
        - **output**: ``[B, L, 2]``, (x, y) over the crop, map pixel index / map_size

    The buffers ``shape3d`` [L, 3] and ``camera`` [3, 3] (pixels of the feature map) are saved with the weights. They
    stay in single precision or better, and ``double()`` restores their values before rounding.

    Example:
        >>> start = PosedShape([[0.0, 0, 0], [0, 0, 1]], map_size=32)  # nose and chin
        >>> frontal = torch.tensor([[0.0, 0, 0, 0, 0, 3]])
        >>> start(BackboneOutput(frontal, [], None)).mul(100).round().tolist()
        [[[50.0, 50.0], [50.0, 100.0]]]
    """

    shape3d: Tensor
    camera: Tensor

    def __init__(self, shape3d: Any, map_size: int, focal_ratio: float = 1.5) -> None:
        super().__init__()
        self.map_size = map_size
        with torch.device("cpu"):  # also where a model without memory is made, on "meta"
            self._exact = {
                "shape3d": torch.tensor(shape3d, dtype=torch.float64),
                "camera": camera_matrix(map_size, focal_ratio, dtype=torch.float64),
            }
        for name, value in self._exact.items():
            self.register_buffer(name, value.to(torch.get_default_dtype()))

    def forward(self, seen: BackboneOutput | StackOutput) -> Tensor:
        """Project the face under ``seen.pose``.

        Args:
            seen: the output of the backbone.

        Raises:
            ValueError: if the backbone estimates no pose.
        """
        if seen.pose is None:
            raise ValueError("PosedShape needs a backbone with a pose head; MeanShape does not need one")
        pose = seen.pose.to(torch.promote_types(seen.pose.dtype, self.shape3d.dtype))
        with torch.autocast(pose.device.type, enabled=False):  # half precision would be off by pixels
            return project(self.shape3d, pose, self.camera) / self.map_size

    def frontal_distance(self, crop_scale: float) -> Tensor:
        """Distance at which a face that looks into the camera fills its box.

        Args:
            crop_scale: side of the crop over the longer side of the box.

        Returns:
            The distance [], in units of the rigid shape.
        """
        extent = (self.shape3d.amax(dim=0) - self.shape3d.amin(dim=0))[1:].max()
        return self.camera[0, 0] / self.map_size * crop_scale * extent

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for name, exact in self._exact.items():
            buffer = getattr(self, name)
            if not buffer.is_meta:
                setattr(self, name, exact.to(buffer.device, torch.promote_types(buffer.dtype, torch.float32)))
        return self

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        for name, exact in self._exact.items():
            loaded = getattr(self, name).detach().cpu()
            if not torch.equal(loaded, exact.to(loaded.dtype)):  # of another face than the layout's
                self._exact[name] = loaded.double()


class MeanShape(nn.Module):
    """The same mean shape for every face.

    Args:
        mean: [L, 2], normalised crop coordinates.

    Shapes:
        - **output**: ``[1, L, 2]``

    Example:
        >>> MeanShape([[0.3, 0.5], [0.7, 0.5]])(None).shape
        torch.Size([1, 2, 2])
    """

    mean: Tensor

    def __init__(self, mean: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.get_default_dtype()).clone())

    def forward(self, seen: BackboneOutput | StackOutput) -> Tensor:
        """The mean shape, the same for all faces.

        Args:
            seen: not used.
        """
        return self.mean.to(torch.promote_types(self.mean.dtype, torch.float32))[None]
