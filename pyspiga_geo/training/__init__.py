"""Training: losses, targets and the three stages of the paper, driven by Lightning."""

from pyspiga_geo.training.config import AugmentationConfig, LossConfig, StageConfig, TrainConfig
from pyspiga_geo.training.run import run_training

__all__ = ["AugmentationConfig", "LossConfig", "StageConfig", "TrainConfig", "run_training"]
