"""The config models of a run, and YAML in and out. Free of torch."""

from ganvas.config.data import AugmentConfig, DataConfig
from ganvas.config.family import Family, GanConfig, LatentConfig
from ganvas.config.model import DcganDiscriminator, DcganGenerator, MlpDiscriminator, MlpGenerator
from ganvas.config.objective import (
    BceLoss,
    DiffAugment,
    GradientPenalty,
    HingeLoss,
    LeastSquaresLoss,
    OrthogonalRegulariser,
    R1Penalty,
    WassersteinLoss,
)
from ganvas.config.optim import AdamConfig, EmaConfig, PlateauSchedule, ScheduleConfig, SgdConfig, StepSchedule
from ganvas.config.residual import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator
from ganvas.config.run import CheckpointConfig, EvaluationConfig, LogConfig, RunConfig, SamplesConfig, TrainConfig

__all__ = [
    "AdamConfig",
    "AugmentConfig",
    "BceLoss",
    "BigganDiscriminator",
    "BigganGenerator",
    "CheckpointConfig",
    "DataConfig",
    "DcganDiscriminator",
    "DcganGenerator",
    "DiffAugment",
    "EmaConfig",
    "EvaluationConfig",
    "Family",
    "GanConfig",
    "GradientPenalty",
    "HingeLoss",
    "LatentConfig",
    "LeastSquaresLoss",
    "LogConfig",
    "MlpDiscriminator",
    "MlpGenerator",
    "OrthogonalRegulariser",
    "PlateauSchedule",
    "R1Penalty",
    "ResnetDiscriminator",
    "ResnetGenerator",
    "RunConfig",
    "SamplesConfig",
    "ScheduleConfig",
    "SgdConfig",
    "StepSchedule",
    "TrainConfig",
    "WassersteinLoss",
]
