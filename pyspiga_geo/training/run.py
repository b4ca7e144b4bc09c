"""A training run, from a configuration to weights."""

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import Accelerator, CPUAccelerator, CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from pyspiga_geo.backbones import EncoderDecoder, load_imagenet_weights
from pyspiga_geo.layouts import get_layout
from pyspiga_geo.models import SPIGA
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training.averaging import MovingAverage
from pyspiga_geo.training.batch_norm import BatchNormSync
from pyspiga_geo.training.config import TrainConfig
from pyspiga_geo.training.data import FaceDataModule
from pyspiga_geo.training.lending import lend_backbone, match_unit
from pyspiga_geo.training.progress import EpochLines
from pyspiga_geo.training.record import about_weights, check_run, describe_run, write_run
from pyspiga_geo.training.report import write_report
from pyspiga_geo.training.stage import Stage
from pyspiga_geo.training.stages import BackboneStage, CascadeStage, JointStage
from pyspiga_geo.training.uncertainty import UncertaintyStage, calibrate, know_shapes

__all__ = ["run_training"]

RESULT = "model.safetensors"

# The engine advertises other products of its makers, each time it starts.
logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip: " not in record.getMessage())


def run_training(config: TrainConfig) -> Path:
    """Train all stages, each from the previous one's result; write ``out/model.safetensors`` and ``report.md``.

    Every finished epoch is a checkpoint: called again with the same ``out``, an interrupted run continues where it
    stopped, and finished stages are not repeated. ``out/run.json`` records settings, versions and data of the run.

    Args:
        config: the settings.

    Returns:
        Path of the weights.

    Raises:
        pyspiga_geo.data.RecordError: if the annotations cannot be used.
        ValueError: for an unknown preset, layout or model key, an accelerator that is not available, too few faces, or
            a folder in which a run with other settings or data was started.
        pyspiga_geo.models.CheckpointError: if the weights to start from cannot be read.

    Example:
        >>> config = TrainConfig(annotations=Path("faces.json"), out=Path("runs/faces"))
        >>> weights = run_training(config)  # doctest: +SKIP
    """
    known: dict[str, list[type[Accelerator]]] = {
        "cuda": [CUDAAccelerator],
        "gpu": [CUDAAccelerator, MPSAccelerator],
        "mps": [MPSAccelerator],
    }
    if not any(kind.is_available() for kind in known.get(config.accelerator, [CPUAccelerator])):
        raise ValueError(f"accelerator {config.accelerator!r} is not there on this machine; 'cpu' is")
    seed_everything(config.seed)
    model, lent = first_model(config)
    data = FaceDataModule(config, model.config)
    shapes = data.training_shapes() if config.uncertainty.epochs and config.uncertainty.shape_modes else None
    run = describe_run(config, data)
    about = about_weights(run, config.weights)  # now: the file of the weights may be gone at the end
    check_run(config, run)
    if (config.out / RESULT).exists() and (config.out / "report.md").exists():
        rank_zero_only(print)(f"{config.out}: the run is finished; choose another folder to train anew")
        return config.out / RESULT
    rank_zero_only(write_run)(config, run)
    if model.uncertainty is not None and not config.uncertainty.epochs:
        rank_zero_only(print)(
            "the uncertainty head stays as it is, and may not fit what is trained now: --uncertainty.epochs 5 trains it"
        )
    stages: list[tuple[str, Callable[[SPIGA], Stage]]] = [
        ("landmarks", lambda model: BackboneStage(model, config, config.landmarks, with_pose=False)),
        ("pose", lambda model: BackboneStage(model, config, config.pose, with_pose=True)),
        ("cascade", lambda model: CascadeStage(model, config, config.cascade)),
        ("joint", lambda model: JointStage(model, config, config.joint)),
    ]
    if config.uncertainty.epochs:
        stages.append(("uncertainty", lambda model: UncertaintyStage(model, config)))
    if lent and not (config.out / "landmarks" / RESULT).exists():
        match_unit(model, data.training)
    for name, make_stage in stages:
        result = config.out / name / RESULT
        if result.exists():
            model = SPIGA.from_pretrained(result)
            continue
        seed_everything(config.seed)
        if name == "uncertainty" and shapes is not None:
            model = know_shapes(model, shapes)
        stage = make_stage(model.train()).to(memory_format=torch.channels_last)
        model = stage.model
        if stage.stage.epochs:
            crops = data if stage.config is config else FaceDataModule(stage.config, model.config)
            _fit(stage, crops, config, config.out / name)
        if name == "uncertainty":
            calibrate(model.eval(), data.whole_validation())
        rank_zero_only(model.save)(result)
    rank_zero_only(model.save)(config.out / RESULT, half=True, about=about)
    rank_zero_only(write_report)(config.out, model.float().eval(), data.whole_validation())
    return config.out / RESULT


def first_model(config: TrainConfig) -> tuple[SPIGA, bool]:
    """The model to begin with, and whether its backbone is that of another layout."""
    if config.weights is None:
        model = SPIGA.from_preset(config.preset, config.layout, **config.model)
        if config.imagenet:
            if not isinstance(model.backbone, EncoderDecoder):
                raise ValueError("imagenet: only the backbone 'encoder_decoder' has an encoder to start from ImageNet")
            load_imagenet_weights(model.backbone.encoder)
        return model, False
    model = SPIGA.from_pretrained(config.weights)
    layout = get_layout(config.layout)
    if model.layout.ids == layout.ids:
        return model, False
    fresh, taken = lend_backbone(model, layout)
    rank_zero_only(print)(
        f"{config.weights} has the layout {model.layout.name!r}: {taken} of {len(fresh.state_dict())} tensors are "
        f"taken, those of the backbone that fit {layout.name!r}; what reads landmarks from it is trained anew"
    )
    return fresh, True


def _fit(stage: Stage, data: FaceDataModule, config: TrainConfig, folder: Path) -> None:
    if config.precision == "64-true":
        stage.double()  # before the engine does: the moving average starts as a copy
    keep = ModelCheckpoint(  # the last two epochs, should the disk fail the last
        folder,
        monitor="step",
        mode="max",
        save_top_k=2,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    watched = sys.stdout.isatty()
    trainer = Trainer(
        max_epochs=stage.stage.epochs,
        default_root_dir=folder,
        logger=[TensorBoardLogger(folder, name="", version="tensorboard"), CSVLogger(folder, name="csv")],
        callbacks=[
            keep,
            MovingAverage(config.average_decay),
            *([] if watched else [EpochLines(folder.name)]),
        ],
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=config.precision,
        plugins=[BatchNormSync()],
        use_distributed_sampler=False,  # the data module shares out the faces, and none twice
        log_every_n_steps=1,
        gradient_clip_val=5.0,
        enable_model_summary=False,
        enable_progress_bar=watched,
    )
    try:
        with warnings.catch_warnings():
            # Meant: the frozen backbone, a folder that holds the logs, and a model that estimates no head pose.
            warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")
            warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty")
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")  # the engine's own
            warnings.filterwarnings("ignore", r"The ``compute`` method of metric HeadPoseError was called before")
            trainer.fit(stage, data, ckpt_path=last_checkpoint(folder))
    except SystemExit as stop:  # how the engine ends after Ctrl+C, when it has put everything away
        raise KeyboardInterrupt from stop
    finished = _newest_checkpoint(folder)
    assert finished is not None, "the engine has written a checkpoint each epoch"
    stage.load_state_dict(finished[1]["state_dict"])  # the average


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a stage that can be read; a warning names those that cannot."""
    newest = _newest_checkpoint(folder)
    return newest and newest[0]


def _newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Its path and what it holds."""
    steps = {path: int(path.stem.partition("step=")[2]) for path in folder.glob("*step=*.ckpt")}
    for path in sorted(steps, key=steps.__getitem__, reverse=True):
        try:
            return path, torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for damaged files
            warnings.warn(f"{path}: damaged, going on from the checkpoint before ({error})", stacklevel=3)
    return None
