"""Where the cascade starts: x_0 of what the backbone saw."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import BackboneOutput, StackOutput
from pyspiga_geo.geometry import camera_matrix, project


class Start(Protocol):
    """What :class:`~pyspiga_geo.models.SPIGA` asks of its start, a :class:`torch.nn.Module`."""

    def __call__(self, seen: BackboneOutput | StackOutput) -> Tensor:
        """x_0 [B, L, 2], or [1, L, 2] where all faces start alike; normalised crop coordinates."""


class PosedShape(nn.Module):
    """The rigid 3-D face, seen under the pose that the backbone estimates.

    Args:
        shape3d: [L, 3], world frame of :mod:`pyspiga_geo.geometry.rotation`.
        map_size: side of the feature map in pixels.
        focal_ratio: focal length of the camera over the size of the map.

    Shapes:
        - **output**: ``[B, L, 2]``, (x, y) over the crop, map pixel index / map_size

    The buffers ``shape3d`` [L, 3] and ``camera`` [3, 3] (pixels of the feature map) travel with the weights. They stay
    in single precision or better, and ``double()`` gives them as they were before they were rounded.
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
        """Project the face under ``seen.pose``."""
        if seen.pose is None:
            raise ValueError("PosedShape needs a backbone with a pose head; MeanShape does without")
        pose = seen.pose.to(torch.promote_types(seen.pose.dtype, self.shape3d.dtype))
        with torch.autocast(pose.device.type, enabled=False):  # half precision would be off by pixels
            return project(self.shape3d, pose, self.camera) / self.map_size

    def frontal_distance(self, crop_scale: float) -> Tensor:
        """Distance at which a face that looks into the camera fills its box."""
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
        """The mean shape, whatever was seen."""
        return self.mean.to(torch.promote_types(self.mean.dtype, torch.float32))[None]
