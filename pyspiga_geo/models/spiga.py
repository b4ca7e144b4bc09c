"""SPIGA: image, pose, shape, steps, landmarks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pyspiga_geo.geometry import camera_matrix, project
from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.models import checkpoint, reference
from pyspiga_geo.models.backbones import MultitaskHourglass
from pyspiga_geo.models.config import SPIGAConfig, make_config
from pyspiga_geo.models.output import SPIGAOutput
from pyspiga_geo.nn import SPIGACascade


class SPIGA(nn.Module):
    r"""The model of `"Shape Preserving Facial Landmarks with Graph Attention Networks"
    <https://arxiv.org/abs/2210.07233>`_.

    A backbone sees the head pose; a rigid 3-D face, projected under that pose, is the first guess of every
    landmark; a cascade of graph networks corrects it over the backbone's features.

    Args:
        config: see :class:`SPIGAConfig`; :meth:`from_preset` makes one.
        layout: landmark set, by name or as an object. It must have a rigid shape.

    Shapes:
        - **images**: ``[B, 3, S, S]`` float RGB in 0..1, square crops around faces
        - **edge_index**: ``[2, E]`` over the landmarks, or None (complete graph)
        - **output**: :class:`SPIGAOutput`

    The buffers ``shape3d`` [L, 3] and ``camera`` [3, 3] (pixels of the feature map) travel with the weights.
    """

    shape3d: Tensor
    camera: Tensor

    def __init__(self, config: SPIGAConfig, layout: str | Layout) -> None:
        super().__init__()
        layout = get_layout(layout)
        if layout.shape3d is None:
            raise ValueError(
                f"layout {layout.name!r} has no rigid 3-D shape, which the pose initialisation needs"
            )
        self.config = config
        self.layout = layout
        dtype = torch.get_default_dtype()
        for name, value in self._geometry().items():
            self.register_buffer(name, value.to(dtype))
        self.backbone = MultitaskHourglass(
            torch.tensor(layout.boundary_matrix, dtype=dtype),
            config.image_size,
            config.channels,
            config.num_stacks,
            config.depth,
        )
        self.cascade = SPIGACascade(
            len(layout),
            config.channels,
            config.num_steps,
            config.num_layers,
            config.heads,
            config.conv,
            window=config.window,
            node_channels=config.node_channels,
            hidden_channels=config.hidden_channels,
            samples=config.samples,
            bound=config.bound,
            include_self=config.include_self,
            scale=config.scale,
            out_proj=config.out_proj,
            heatmap_windows=config.heatmap_windows,
        )
        self._aim_pose_heads()

    def _geometry(self) -> dict[str, Tensor]:
        """The constants of x_0, exact."""
        shape3d = torch.tensor(self.layout.shape3d, dtype=torch.float64)
        camera = camera_matrix(self.config.map_size, self.config.focal_ratio, dtype=torch.float64)
        return {"shape3d": shape3d, "camera": camera}

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:
        """Move or cast the model: ``double()`` finds the exact geometry, not one that was rounded before."""
        super()._apply(fn, recurse)
        for name, value in self._geometry().items():
            buffer = getattr(self, name)
            setattr(self, name, value.to(buffer.device, buffer.dtype))
        return self

    @torch.no_grad()
    def _aim_pose_heads(self) -> None:
        """Start from a frontal face at the distance at which it fills its box."""
        extent = (self.shape3d.amax(dim=0) - self.shape3d.amin(dim=0))[1:].max()
        distance = self.config.focal_ratio * self.config.crop_scale * extent
        for stack in self.backbone.stacks:
            stack.pose.bias.copy_(torch.stack([torch.zeros_like(distance)] * 5 + [distance]))

    def forward(
        self, images: Tensor, edge_index: Tensor | None = None, return_attention: bool = False
    ) -> SPIGAOutput:
        """Find the landmarks of face crops.

        Raises:
            ValueError: when images have a wrong shape or are not float.
        """
        images = self.to_network_channels(images)
        pose, (feature_map,), heatmaps = self.backbone(images, self.config.heatmap_windows)
        initial = self.initial_shape(pose)  # x_0: the rigid face, seen from that pose
        pos, steps, attention, _ = self.cascade(
            initial, feature_map, edge_index, heatmaps=heatmaps, return_attention=return_attention
        )  # x_1 ... x_K
        return SPIGAOutput(pos, steps, initial, pose, feature_map, attention)

    def to_network_channels(self, images: Tensor) -> Tensor:
        """Check RGB crops [B, 3, S, S] and bring them into the network's channel order."""
        size = self.config.image_size
        if images.dim() != 4 or images.shape[1:] != (3, size, size) or not images.is_floating_point():
            raise ValueError(
                f"images must be float [B, 3, {size}, {size}] in 0..1, "
                f"got {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            )
        return images.flip(1) if self.config.channel_order == "bgr" else images

    def initial_shape(self, pose: Tensor) -> Tensor:
        """x_0 [B, L, 2] of poses [B, 6]: the projected rigid face, map pixel index / resolution."""
        return project(self.shape3d, pose, self.camera) / self.config.map_size

    @classmethod
    def from_preset(cls, preset: str, layout: str | Layout = "ibug68", **overrides: Any) -> Self:
        """Make an untrained model from ``"paper"``, ``"reference"`` or ``"compact"``.

        Raises:
            ValueError: for an unknown preset, layout or configuration key.
        """
        return cls(make_config(preset, **overrides), layout)

    @classmethod
    def from_pretrained(cls, model: str | Path) -> Self:
        """Load a trained model: ``"compact"``, which the package ships, or a file that :meth:`save` wrote.

        Raises:
            pyspiga_geo.models.CheckpointError: when the file is missing, damaged or of another kind.
        """
        state, config, layout = checkpoint.read(model)
        try:
            loaded = cls(config, layout)
        except (TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(f"{model}: its configuration makes no model: {error}") from error
        checkpoint.fill(loaded, state, model)
        return loaded.eval()

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write weights, configuration and layout as safetensors, under a temporary name first.

        Args:
            path: the file.
            half: store matrices and filters as float16, half the size; the rest stays as it is.

        Raises:
            ValueError: when the graph operator is a function, which a file cannot carry.
        """
        state: dict[str, Tensor] = self.state_dict()
        if half:
            state |= {name: value.half() for name, value in self.named_parameters() if value.dim() > 1}
        checkpoint.write(path, state, self.config, self.layout)

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take over the weights of the authors' network. Only a model of preset ``"reference"`` fits.

        Heads that the authors' inference network lacks (pose heads of the first stacks, landmark head of the
        last) keep their values; they serve training only.

        Raises:
            ValueError: when entries are unknown, missing or misshapen; the message lists them, and nothing is
                loaded.
        """
        self.load_state_dict(reference.translate(self, state_dict))


def reference_model(path: str | Path) -> SPIGA:
    """The reference network with the authors' weights from their .pt file; the layout is read off the weights.

    No code that the file may contain is run.

    Raises:
        pyspiga_geo.models.CheckpointError: when the file is missing, damaged, holds code or is no state dict.
        ValueError: when it is the state dict of another network; the message lists what does not fit.
    """
    state = checkpoint.read_reference(path)
    try:
        model = SPIGA.from_preset("reference", reference.layout_of(state))
        model.load_reference_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model.eval()
