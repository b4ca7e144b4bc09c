"""Configuration of a training run, read from YAML and the command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pyspiga_geo.settings import Allowed, Pair, Range, Whole, check_settings, refuse_code, shown

_SHARE = Range(0, 1)
_WEIGHT = Range(0, 1e6)
_POSITIVE = Range(0, 100, above=True)
_SIZES = Pair(Range(0, 1, above=True))

Occluder = Literal["rectangle", "hand", "blur", "border"]
OCCLUDERS: tuple[Occluder, ...] = get_args(Occluder)
"""Kinds of painted occluders, as :mod:`pyspiga_geo.data.transforms.occluders` has them: that needs PyTorch."""

Strategy = Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
Precision = Literal["64-true", "32-true", "bf16-mixed", "16-mixed"]

Setting = bool | int | float | str | list[int] | list[float] | None
"""What a key of the model may hold: nothing that could be called."""


@dataclass
class StageConfig:
    """One stage of the training.

    Attributes:
        epochs: passes over the training faces.
        lr: peak learning rate; one cosine cycle with a short warm-up.

    Example:
        >>> StageConfig(epochs=30, lr=1.5e-3)
        StageConfig(epochs=30, lr=0.0015)
    """

    epochs: int
    lr: float

    allowed: ClassVar[Allowed] = {"epochs": Whole(0, 100_000), "lr": _POSITIVE}


@dataclass
class UncertaintyConfig(StageConfig):
    """The stage that trains the uncertainty head (:class:`~pyspiga_geo.nn.UncertaintyHead`) on the finished model.

    Its crops are those of :class:`AugmentationConfig`, with synthetic occluders of all kinds instead of rectangles.

    Attributes:
        epochs: passes over the training faces. 0: no such stage.
        lr: peak learning rate; one cosine cycle with a short warm-up.
        occlusion: probability of an occluder.
        occlusion_size: smallest and largest side of the occluder over that of the face's box.
        visible: weight of the loss of visibility.
        shape_modes: modes of the shape prior (:class:`~pyspiga_geo.nn.ShapePrior`) that the model gets, from the
            training faces. Default: those that it has, if any.

    Example:
        >>> UncertaintyConfig(epochs=10).occlusion
        0.5
    """

    epochs: int = 0
    lr: float = 2e-3
    occlusion: float = 0.5
    occlusion_size: tuple[float, float] = (0.1, 0.5)
    visible: float = 1.0
    shape_modes: int = 0

    allowed: ClassVar[Allowed] = {
        **StageConfig.allowed,
        "occlusion": _SHARE,
        "occlusion_size": _SIZES,
        "visible": _WEIGHT,
        "shape_modes": Whole(0, 8192),
    }


@dataclass
class AugmentationConfig:
    """Random changes of the training crops.

    Attributes:
        flip: probability of the mirror image, if the layout has a mirror order.
        degrees: largest rotation in either direction.
        scale: largest relative change of size in either direction.
        shift: largest shift in either direction, as a fraction of the crop.
        stretch: largest relative change of the ratio of width to height.
        brightness: largest relative change of brightness, and of contrast and saturation.
        hue: largest change of hue, as a fraction of the colour circle.
        grey: probability of a grey picture.
        hsv: largest relative change of hue, saturation and value, all at once.
        blur: probability of a Gaussian blur.
        blur_sigma: smallest and largest standard deviation of that blur in crop pixels.
        occlusion: probability of a rectangle that hides part of the face.
        occlusion_size: smallest and largest side of that rectangle over that of the face's box; it lies within the box
            and has a random colour. Default: a black rectangle anywhere, of 2 to 15 % of the crop.
        occluders: with ``occlusion_size``, the kinds of :class:`~pyspiga_geo.data.transforms.RandomOcclusion` to
            choose from, all equally likely.

    Raises:
        ValueError: for an unknown kind of occluder.

    Example:
        >>> AugmentationConfig(degrees=20).flip
        0.5
    """

    flip: float = 0.5
    degrees: float = 35
    scale: float = 0.15
    shift: float = 0.06
    stretch: float = 0.0
    brightness: float = 0.3
    hue: float = 0.03
    grey: float = 0.15
    hsv: float = 0.0
    blur: float = 0.15
    blur_sigma: tuple[float, float] = (0.5, 1.5)
    occlusion: float = 0.4
    occlusion_size: tuple[float, float] | None = None
    occluders: tuple[Occluder, ...] = ("rectangle",)

    allowed: ClassVar[Allowed] = {
        **dict.fromkeys(("flip", "shift", "brightness", "grey", "hsv", "blur", "occlusion"), _SHARE),
        "degrees": Range(0, 180),
        "scale": Range(0, 1, below=True),
        "stretch": Range(0, 1, below=True),
        "hue": Range(0, 0.5),
        "blur_sigma": Pair(_POSITIVE),
    }


@dataclass
class LossConfig:
    """Weights of the losses (lambda in the paper) and widths of the target heatmaps.

    Attributes:
        coordinates: lambda_c, of the coordinates of the heatmaps.
        attention: lambda_att, of point and boundary heatmaps.
        pose: lambda_p, of the head pose. The losses of hourglass h of M have the factor 2^(h - M).
        cascade: lambda_r, of the steps of the cascade, in the stage that trains it jointly with the backbone.
        point_sigma: standard deviation of a point's heatmap in map pixels.
        boundary_sigma: standard deviation across a boundary's heatmap in map pixels.

    Example:
        >>> LossConfig(pose=0.1).attention
        50.0
    """

    coordinates: float = 4.0
    attention: float = 50.0
    pose: float = 0.05
    cascade: float = 4.0
    point_sigma: float = 1.0
    boundary_sigma: float = 1.0

    allowed: ClassVar[Allowed] = {
        **dict.fromkeys(("coordinates", "attention", "pose", "cascade"), _WEIGHT),
        **dict.fromkeys(("point_sigma", "boundary_sigma"), _POSITIVE),
    }


@dataclass
class TrainConfig:
    """A training run: its data, model, stages and other settings.

    Attributes:
        annotations: annotation-record JSON of the training faces, image paths relative to its folder; the folder of
            a published dataset; or ``synthetic`` for synthetic faces.
        out: folder of the run: checkpoints, logs and ``model.safetensors``. A run found there is resumed.
        dataset: which published dataset ``annotations`` is the folder of, by its name in
            :data:`pyspiga_geo.data.DATASETS`.
        split: part of that dataset; a folder of .pts files has only ``all``.
        layout: landmark set, by name or as a JSON file (:func:`~pyspiga_geo.layouts.read_layout`).
        synthetic_faces: number of synthetic faces, if annotations is ``synthetic``.
        preset: model preset.
        model: configuration keys of the model that differ from the preset.
        weights: ``compact`` or a weights file to start from, instead of random weights. It determines the model;
            ``preset`` and ``model`` are then ignored. From weights of another layout only the backbone is taken,
            without the layers that depend on the landmarks, such as those of the heatmaps; its pose heads are
            rescaled to the unit of the new rigid shape.
        imagenet: start the encoder of the backbone from ImageNet weights; only ``encoder_decoder`` has one.
        validation_fraction: fraction of the faces, by whole groups, that is kept out of training.
        skip_bad: leave out faces whose record or picture is bad, and say how many, instead of stopping.
        resume_anyway: continue in ``out`` even if the run there has other settings or data.
        seed: of everything random.
        batch_size: faces per optimiser update, in each process.
        workers: processes that read pictures, for each training process; at most 64.
        accelerator: hardware to run on, as the engine names it: ``"auto"``, ``"cpu"``, ``"gpu"``.
        devices: number of devices per machine. Two or more train as one would with the sum of their batches.
        num_nodes: number of machines, under torchrun or SLURM.
        strategy: how processes work together, as the engine names it: ``"auto"``, ``"ddp"``.
        precision: of the arithmetic, as the engine names it: ``"32-true"``, or ``"bf16-mixed"``, which is faster if
            the processor supports it.
        weight_decay: of AdamW.
        average_decay: decay of the exponential moving average of the weights, per optimiser update.
        landmarks: stage 1, heatmaps.
        pose: stage 2, heatmaps and head pose.
        cascade: stage 3, the cascade on the frozen backbone.
        joint: stage 4, backbone and cascade together (not in the paper).
        uncertainty: stage 5, the uncertainty head, which a model without it gets; model frozen (not in the paper).
        loss: weights of the losses.
        augmentation: random changes of the training crops.

    Raises:
        ValueError: for an invalid setting, those of ``model`` included; the message names it.

    Example:
        >>> config = TrainConfig(annotations=Path("synthetic"), out=Path("runs/quick"), synthetic_faces=50)
        >>> config.preset, config.cascade.epochs
        ('compact', 20)
    """

    annotations: Path
    out: Path
    dataset: str | None = None
    split: str = "train"
    layout: str = "ibug68"
    synthetic_faces: int = 1000
    preset: str = "compact"
    model: Mapping[str, Setting | dict[str, Setting]] = field(default_factory=dict)
    weights: str | None = None
    imagenet: bool = False
    validation_fraction: float = 0.1
    skip_bad: bool = False
    resume_anyway: bool = False
    seed: int = 0
    batch_size: int = 24
    workers: int = 2
    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: Strategy = "auto"
    precision: Precision = "32-true"
    weight_decay: float = 1e-4
    average_decay: float = 0.995
    landmarks: StageConfig = field(default_factory=lambda: StageConfig(epochs=30, lr=1.5e-3))
    pose: StageConfig = field(default_factory=lambda: StageConfig(epochs=15, lr=7e-4))
    cascade: StageConfig = field(default_factory=lambda: StageConfig(epochs=20, lr=1e-3))
    joint: StageConfig = field(default_factory=lambda: StageConfig(epochs=0, lr=5e-4))
    uncertainty: UncertaintyConfig = field(default_factory=UncertaintyConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        """Check types and ranges before anything is read."""
        check_settings(self, _ALLOWED, but=("devices",))
        refuse_code(self.model, "model")
        for name, kind in _PARTS.items():
            part = getattr(self, name)
            if not isinstance(part, kind):
                raise ValueError(f"{name} must be a {kind.__name__}, got {shown(part)}")
            check_settings(part, part.allowed, name)
        painted = self.augmentation
        if painted.occlusion_size is not None and painted.occlusion_size not in _SIZES:  # type: ignore[comparison-overlap]
            raise ValueError(f"augmentation.occlusion_size must be {_SIZES}, got {shown(painted.occlusion_size)}")
        kinds = painted.occluders
        if not isinstance(kinds, list | tuple) or not kinds or not all(kind in OCCLUDERS for kind in kinds):
            raise ValueError(
                f"augmentation.occluders must be one or more of {', '.join(OCCLUDERS)}, got {shown(kinds)}"
            )
        choices = (("accelerator", ACCELERATORS), ("precision", get_args(Precision)), ("strategy", get_args(Strategy)))
        for name, known in choices:
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {shown(getattr(self, name))}")
        text = isinstance(self.devices, str) and re.fullmatch(r"auto|[1-9]\d{0,2}|\d+(,\d+)+,?|\d+,", self.devices)
        if not text and self.devices not in Whole(1, 1024):
            raise ValueError(f"devices must be 'auto' or {Whole(1, 1024)}, got {shown(self.devices)}")
        if not isinstance(self.model, Mapping) or not all(isinstance(key, str) for key in self.model):
            raise ValueError(f"model must be names and values, got {shown(self.model)}")
        try:
            from pyspiga_geo.models.config import make_config  # not to print help: it needs PyTorch

            make_config(self.preset, **self.model)
        except ValueError as error:
            raise ValueError(f"model: {error}" if self.model else str(error)) from error


ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")

_ALLOWED: Allowed = {
    "synthetic_faces": Whole(1, 10**9),
    "validation_fraction": Range(0, 1, below=True),
    "seed": Whole(0, 2**32 - 1),
    "batch_size": Whole(1, 65536),
    "workers": Whole(0, 64),
    "num_nodes": Whole(1, 1024),
    "weight_decay": Range(0, 100),
    "average_decay": _SHARE,
}
_PARTS: dict[str, type[StageConfig | LossConfig | AugmentationConfig]] = {
    **dict.fromkeys(("landmarks", "pose", "cascade", "joint"), StageConfig),
    "uncertainty": UncertaintyConfig,
    "loss": LossConfig,
    "augmentation": AugmentationConfig,
}
