"""The config models of a run, and YAML in and out. Free of torch."""

from ganvas.config.data import AugmentConfig, DataConfig
from ganvas.config.family import Family, GanConfig, LatentConfig
from ganvas.config.model import DcganDiscriminator, DcganGenerator, MlpDiscriminator, MlpGenerator
from ganvas.config.objective import (
    AdaptiveAugment,
    BceLoss,
    DiffAugment,
    GradientPenalty,
    HingeLoss,
    LeastSquaresLoss,
    OrthogonalRegulariser,
    PathLengthRegulariser,
    R1Penalty,
    WassersteinLoss,
)
from ganvas.config.optim import AdamConfig, EmaConfig, PlateauSchedule, PowerEmaConfig, ScheduleConfig, SgdConfig, StepSchedule
from ganvas.config.residual import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator
from ganvas.config.run import CheckpointConfig, EvaluationConfig, LogConfig, RunConfig, SamplesConfig, TrainConfig
from ganvas.config.stylegan import Stylegan2Discriminator, Stylegan2Generator

__all__ = [
    "AdamConfig",
    "AdaptiveAugment",
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
    "PathLengthRegulariser",
    "PlateauSchedule",
    "PowerEmaConfig",
    "R1Penalty",
    "ResnetDiscriminator",
    "ResnetGenerator",
    "RunConfig",
    "SamplesConfig",
    "ScheduleConfig",
    "SgdConfig",
    "StepSchedule",
    "Stylegan2Discriminator",
    "Stylegan2Generator",
    "TrainConfig",
    "WassersteinLoss",
]
