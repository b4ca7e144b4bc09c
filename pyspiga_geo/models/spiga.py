"""SPIGA: image, pose, shape, steps, landmarks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import BackboneOutput, StackOutput
from pyspiga_geo.layouts import Layout, get_layout
from pyspiga_geo.models import checkpoint, reference
from pyspiga_geo.models.builder import add_uncertainty, build_knowledge, build_parts, coarse_to_fine
from pyspiga_geo.models.config import SPIGAConfig, make_config
from pyspiga_geo.models.optimize import optimized
from pyspiga_geo.models.output import SPIGAOutput
from pyspiga_geo.models.state_names import lengthen, shorten
from pyspiga_geo.nn import CascadeOutput, SPIGACascade


class SPIGA(nn.Module):
    """The model of `"Shape Preserving Facial Landmarks with Graph Attention Networks"
    <https://arxiv.org/abs/2210.07233>`_.

    A backbone estimates the head pose; a rigid 3-D face, projected under that pose, is the first guess of every
    landmark; a cascade of graph networks corrects it over the backbone's features. Each of the three parts can be
    replaced; :meth:`from_preset` and :meth:`from_config` build the usual ones.

    Args:
        backbone: crops -> pose, feature maps and heatmaps (:class:`~pyspiga_geo.backbones.Backbone`).
        start: output of the backbone -> x_0 (:class:`PosedShape`, :class:`MeanShape` or your own).
        cascade: x_0 and feature maps -> landmarks. With M maps, coarse to fine, step t reads map min(t, M).
        layout: landmark set, by name or as an object.
        config: what the parts were built from, if they were: only such a model can be saved. Also the size and scale of
            the crops; by default those of ``SPIGAConfig()`` with the backbone's ``image_size``.
        uncertainty: estimates covariance and visibility of each landmark from the node features of the last step, the
            finest map and the landmarks (:class:`~pyspiga_geo.nn.UncertaintyHead`); None: no such estimates.
        shape_prior: landmarks, covariance and visibility -> landmarks (:class:`~pyspiga_geo.nn.ShapePrior`); None:
            those of the last step. It needs ``uncertainty``.

    Shapes:
        - **images**: ``[B, 3, S, S]`` float RGB in 0..1, square crops around faces
        - **edge_index**: ``[2, E]`` over the landmarks, or None (complete graph)
        - **output**: :class:`SPIGAOutput`

    Raises:
        ValueError: if the cascade is for another number of landmarks, or there is a shape prior and no uncertainty.

    Example:
        >>> import torch
        >>> model = SPIGA.from_preset("compact").eval()
        >>> model(torch.rand(2, 3, 128, 128)).landmarks.shape
        torch.Size([2, 68, 2])
    """

    backbone: Any  # a Backbone and a Start, and modules: there is no type for both
    start: Any
    uncertainty: Any  # None where the model does not say how sure it is
    shape_prior: Any

    def __init__(
        self,
        backbone: nn.Module,
        start: nn.Module,
        cascade: SPIGACascade,
        layout: str | Layout,
        *,
        config: SPIGAConfig | None = None,
        uncertainty: nn.Module | None = None,
        shape_prior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layout = get_layout(layout)
        if cascade.num_landmarks not in (None, len(self.layout)):
            raise ValueError(
                f"the cascade is for {cascade.num_landmarks} landmarks, layout {self.layout.name!r} has "
                f"{len(self.layout)}"
            )
        if shape_prior is not None and uncertainty is None:
            raise ValueError("shape_prior needs an uncertainty head, which says how sure each landmark is")
        self.built = config is not None
        self.config = config or SPIGAConfig(image_size=getattr(backbone, "image_size", 256))
        self.backbone = backbone
        self.start = start
        self.cascade = cascade
        self.uncertainty = uncertainty
        self.shape_prior = shape_prior
        self.register_state_dict_post_hook(shorten)
        self.register_load_state_dict_pre_hook(lengthen)

    def forward(self, images: Tensor, edge_index: Tensor | None = None, return_attention: bool = False) -> SPIGAOutput:
        """Find the landmarks of face crops.

        Args:
            images: the crops.
            edge_index: edges between landmarks. Default: the complete graph.
            return_attention: also return the attention of every layer of every step.

        Raises:
            ValueError: if images have the wrong shape or are not float.
        """
        images = self.to_network_channels(images)
        seen = self.backbone(images, self.cascade.heatmap_windows)  # pose, maps, heatmaps
        initial, out = self.refine(seen, edge_index, return_attention=return_attention)
        covariance, visible = self.how_sure(seen, out, edge_index)
        landmarks = out.pos if self.shape_prior is None else self.shape_prior(out.pos, covariance, visible)
        steps = (landmarks, out.steps, initial, seen.pose, seen.maps[-1], out.attention, out.x)
        return SPIGAOutput(*steps, covariance, visible, edge_index)

    def refine(
        self, seen: BackboneOutput | StackOutput, edge_index: Tensor | None = None, **options: Any
    ) -> tuple[Tensor, CascadeOutput]:
        """Run start and cascade on the output of the backbone.

        Args:
            seen: the output of the backbone.
            edge_index: edges between landmarks. Default: the complete graph.
            options: of the cascade: ``detach_steps``, ``return_attention``.

        Returns:
            x_0 [B, L, 2] and the output of the cascade.
        """
        pos = self.start(seen).expand(seen.maps[0].size(0), -1, -1)  # x_0: the rigid face, seen from that pose
        maps = coarse_to_fine(seen.maps, self.cascade.num_steps)
        heatmaps = seen.heatmaps if self.cascade.heatmap_windows else None
        return pos, self.cascade(pos, maps, edge_index, heatmaps=heatmaps, **options)  # x_1 ... x_K

    def how_sure(
        self, seen: BackboneOutput | StackOutput, out: CascadeOutput, edge_index: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Estimate covariance and visibility of the landmarks.

        Args:
            seen: the output of the backbone.
            out: the output of the cascade.
            edge_index: edges between landmarks. Default: the complete graph.

        Returns:
            Covariances [B, L, 2, 2] and probabilities [B, L] of being visible; (None, None) without an uncertainty
            head.
        """
        if self.uncertainty is None:
            return None, None
        covariance, visible = self.uncertainty(out.x, seen.maps[-1], out.pos, edge_index)
        return covariance, visible.sigmoid()

    def to_network_channels(self, images: Tensor) -> Tensor:
        """Check crops and convert them to the network's channel order and precision.

        Args:
            images: [B, 3, S, S], float RGB in 0..1.

        Returns:
            [B, 3, S, S].

        Raises:
            ValueError: if images have the wrong shape or are not float.
        """
        size = self.config.image_size
        if images.dim() != 4 or images.shape[1:] != (3, size, size) or not images.is_floating_point():
            raise ValueError(
                f"images must be float [B, 3, {size}, {size}] in 0..1, "
                f"got {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            )
        precision = next((each.dtype for each in self.backbone.parameters()), images.dtype)
        images = images.to(precision)
        return images.flip(1) if self.config.channel_order == "bgr" else images

    @classmethod
    def from_config(cls, config: SPIGAConfig, layout: str | Layout) -> Self:
        """Build an untrained model from its configuration.

        Args:
            config: the configuration.
            layout: landmark set, by name or as an object.

        Returns:
            The model.

        Raises:
            ValueError: if settings do not fit each other or the layout.
        """
        layout = get_layout(layout)
        parts = build_parts(config, layout)
        return cls(*parts, layout, config=config, **build_knowledge(config, layout, parts[0]))

    def with_uncertainty(self, shape_modes: int = 0) -> Self:
        """A model of the same parts with an uncertainty head, untrained if it is new, and a shape prior.

        Args:
            shape_modes: modes of a new prior, which knows no shapes yet. Default: that of this model, if any.

        Raises:
            ValueError: if the parts were not built from a configuration, the cascade has no steps, or the layout has
                too few landmarks for so many modes.
        """
        return add_uncertainty(self, shape_modes)

    @classmethod
    def from_preset(cls, preset: str, layout: str | Layout = "ibug68", **overrides: Any) -> Self:
        """Build an untrained model from a preset.

        Args:
            preset: ``"paper"``, ``"reference"`` or ``"compact"``.
            layout: landmark set, by name or as an object.
            overrides: values by the names of :class:`SPIGAConfig`.

        Returns:
            The model.

        Raises:
            ValueError: for an unknown preset, layout or configuration key.
        """
        return cls.from_config(make_config(preset, **overrides), layout)

    @classmethod
    def from_pretrained(cls, model: str | Path) -> Self:
        """Load a trained model.

        Args:
            model: ``"base"`` or ``"compact"``, which the package ships, or a file that :meth:`save` wrote.

        Returns:
            The model, in evaluation mode.

        Raises:
            pyspiga_geo.models.CheckpointError: if the file is missing, damaged or of another kind.
        """
        return checkpoint.load(cls.from_config, model)

    def optimize(
        self,
        *,
        fold: bool = True,
        drop_heads: bool = True,
        channels_last: bool = True,
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
        trace: bool = False,
    ) -> Self:
        """A copy that runs faster, for evaluation only: it can neither be trained nor saved. This model is not changed.

        Args:
            fold: fold batch norm and padding into the layers next to them, if nothing is in between. Landmarks change
                by rounding only: less than 1e-4 of the crop in single precision, 1e-12 in double.
            drop_heads: leave out the heads that only training uses (``backbone.forward_stacks`` is gone). Exact.
            channels_last: keep maps with the channels last in memory, which most kernels prefer. Rounding only.
            dtype: precision of the layers; positions stay in single precision or better. ``float16`` and ``bfloat16``
                are faster only on processors that support them, and move landmarks by up to 0.02 of the crop.
            compile: run :func:`torch.compile`, in minutes at the first call, for any number of faces. Rounding only.
            trace: on the CPU, record the operations at the 20th call, and replay them from then on without Python.
                Exact, if no module decides by the values that it is given. With ``compile``, for single faces too.

        Returns:
            The copy.

        Raises:
            ValueError: for another dtype, or if ``compile`` finds no C++ compiler.

        Example:
            >>> import torch
            >>> model = SPIGA.from_preset("compact", image_size=64, num_stacks=1, channels=16).eval()
            >>> images = torch.rand(2, 3, 64, 64)
            >>> (model.optimize()(images).landmarks - model(images).landmarks).abs().max() < 1e-4
            tensor(True)
        """
        switches = {"fold": fold, "drop_heads": drop_heads, "channels_last": channels_last, "trace": trace}
        return optimized(self, **switches, dtype=dtype, compile=compile)

    def save(self, path: str | Path, half: bool = False, about: Mapping[str, Any] | None = None) -> None:
        """Write weights, configuration and layout as safetensors, under a temporary name first.

        Args:
            path: the file.
            half: store matrices and filters as float16, half the size; the rest is not changed.
            about: facts to record about the weights, for JSON: recipe, seed, data. :func:`read_about` reads them.

        Raises:
            ValueError: if the parts were not built from a configuration, or the graph operator is a function, which
                cannot be stored.
        """
        if not self.built:
            raise ValueError(
                "a model not built from a configuration, or optimized, cannot be saved: register the backbone "
                "(register_backbone) and use SPIGA.from_config, or save its state dict"
            )
        state: dict[str, Tensor] = self.state_dict()
        if half:
            state |= {name: value.half() for name, value in self.named_parameters() if value.dim() > 1}
        checkpoint.write(path, state, self.config, self.layout, about)

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of the authors' network. Only a model of preset ``"reference"`` fits.

        Heads that the authors' inference network lacks (pose heads of the first stacks, landmark head of the
        last) keep their values; only training uses them.

        Args:
            state_dict: of the authors' network.

        Raises:
            ValueError: if entries are unknown, missing or misshapen; the message lists them, and nothing is loaded.
        """
        self.load_state_dict(reference.translate(self, state_dict))
