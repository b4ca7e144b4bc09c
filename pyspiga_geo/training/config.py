"""What a training run is made of. Read from YAML and the command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass
class StageConfig:
    """One stage of the training.

    Attributes:
        epochs: passes over the training faces.
        lr: peak learning rate; one cosine cycle with a short warm-up.
    """

    epochs: int
    lr: float


@dataclass
class AugmentationConfig:
    """Random changes of the training crops.

    Attributes:
        flip: probability of the mirror image, where the layout has a mirror order.
        degrees: largest rotation either way.
        scale: largest relative change of size either way.
        shift: largest shift either way, as a share of the crop.
        brightness: largest relative change of brightness, and of contrast and saturation.
        hue: largest change of hue, as a share of the colour circle.
        grey: probability of a grey picture.
        hsv: largest relative change of hue, saturation and value, all at once.
        blur: probability of a Gaussian blur.
        blur_sigma: smallest and largest standard deviation of that blur in crop pixels.
        occlusion: probability of a rectangle that hides part of the face.
        occlusion_size: smallest and largest side of that rectangle over that of the face's box, within which it then
            lies, in a random colour. Without it: a black one anywhere, of 2 to 15 % of the crop.
    """

    flip: float = 0.5
    degrees: float = 35
    scale: float = 0.15
    shift: float = 0.06
    brightness: float = 0.3
    hue: float = 0.03
    grey: float = 0.15
    hsv: float = 0.0
    blur: float = 0.15
    blur_sigma: tuple[float, float] = (0.5, 1.5)
    occlusion: float = 0.4
    occlusion_size: tuple[float, float] | None = None


@dataclass
class LossConfig:
    """Weights of the losses (lambda in the paper) and what the heatmaps look like.

    Attributes:
        coordinates: lambda_c, of the coordinates of the heatmaps.
        attention: lambda_att, of point and boundary heatmaps.
        pose: lambda_p, of the head pose. The losses of hourglass h of M count 2^(h - M) times.
        cascade: lambda_r, of the steps of the cascade, where it is trained along with the backbone.
        point_sigma: standard deviation of a point's heatmap in map pixels.
        boundary_sigma: standard deviation across a boundary's heatmap in map pixels.
    """

    coordinates: float = 4.0
    attention: float = 50.0
    pose: float = 0.05
    cascade: float = 4.0
    point_sigma: float = 1.0
    boundary_sigma: float = 1.0


@dataclass
class TrainConfig:
    """A training run: landmarks, then landmarks and pose, then the cascade on the frozen backbone.

    Attributes:
        annotations: annotation-record JSON of the training faces, image paths relative to its folder; the folder of
            a published dataset; or ``synthetic`` for drawn faces.
        out: folder of the run: checkpoints, logs and ``model.safetensors``. A run found there is resumed.
        dataset: which published dataset ``annotations`` is the folder of, by its name in
            :data:`pyspiga_geo.data.DATASETS`.
        split: part of that dataset; a folder of .pts files has only ``all``.
        layout: landmark set.
        synthetic_faces: how many faces are drawn where annotations says ``synthetic``.
        preset: model preset.
        model: configuration keys of the model that differ from the preset.
        weights: start from these, ``compact`` or a file that an earlier run wrote, instead of at random. The model is
            then that of the weights; ``preset`` and ``model`` do not count.
        imagenet: start the encoder of the backbone from ImageNet weights; only ``encoder_decoder`` has one.
        validation_fraction: share of the faces, by whole groups, that is kept out of training.
        skip_bad: leave out faces whose record or picture is bad, and say how many, instead of stopping.
        seed: of everything random.
        batch_size: faces a step, of each process.
        workers: processes that read pictures, of each process.
        accelerator: what it runs on, as the engine names it: ``"auto"``, ``"cpu"``, ``"gpu"``.
        devices: how many of them. Two or more train together as one would with the sum of their batches.
        precision: of the arithmetic, as the engine names it: ``"32-true"``, or ``"bf16-mixed"``, quicker where the
            processor knows that format.
        weight_decay: of AdamW.
        average_decay: of the exponential moving average of the weights, a step.
        landmarks: stage 1, heatmaps.
        pose: stage 2, heatmaps and head pose.
        cascade: stage 3, the cascade on the frozen backbone.
        joint: stage 4, backbone and cascade together; neither paper nor reference has it.
        loss: weights of the losses.
        augmentation: random changes of the training crops.
    """

    annotations: Path
    out: Path
    dataset: str | None = None
    split: str = "train"
    layout: str = "ibug68"
    synthetic_faces: int = 1000
    preset: str = "compact"
    model: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    imagenet: bool = False
    validation_fraction: float = 0.1
    skip_bad: bool = False
    seed: int = 0
    batch_size: int = 24
    workers: int = 2
    accelerator: str = "auto"
    devices: int | str = "auto"
    precision: Literal["64-true", "32-true", "bf16-mixed", "16-mixed"] = "32-true"
    weight_decay: float = 1e-4
    average_decay: float = 0.995
    landmarks: StageConfig = field(default_factory=lambda: StageConfig(epochs=30, lr=1.5e-3))
    pose: StageConfig = field(default_factory=lambda: StageConfig(epochs=15, lr=7e-4))
    cascade: StageConfig = field(default_factory=lambda: StageConfig(epochs=20, lr=1e-3))
    joint: StageConfig = field(default_factory=lambda: StageConfig(epochs=0, lr=5e-4))
    loss: LossConfig = field(default_factory=LossConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
