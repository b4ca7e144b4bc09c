"""Training: configuration, losses and targets; :mod:`pyspiga_geo.training.run` drives the stages with Lightning."""

from pyspiga_geo.training.config import AugmentationConfig, LossConfig, StageConfig, TrainConfig, UncertaintyConfig

__all__ = ["AugmentationConfig", "LossConfig", "StageConfig", "TrainConfig", "UncertaintyConfig"]
