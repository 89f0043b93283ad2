"""The config models of a run, and YAML in and out. Free of torch."""

from ganvas.config.data import AugmentConfig, DataConfig
from ganvas.config.family import Family, GanConfig, LatentConfig, MatchingConfig
from ganvas.config.matching import Comparison
from ganvas.config.model import DcganDiscriminator, DcganGenerator, MlpDiscriminator, MlpGenerator
from ganvas.config.modern import FastganDiscriminator, FastganGenerator, ProjectedDiscriminator, R3ganDiscriminator, R3ganGenerator
from ganvas.config.objective import (
    AdaptiveAugment,
    BceLoss,
    ConsistencyRegulariser,
    DiffAugment,
    GradientPenalty,
    HingeLoss,
    LeastSquaresLoss,
    LecamRegulariser,
    MatchingRegulariser,
    OrthogonalRegulariser,
    PathLengthRegulariser,
    R1Penalty,
    R1R2Penalty,
    RelativisticHingeLoss,
    RelativisticPairingLoss,
    WassersteinLoss,
)
from ganvas.config.optim import AdamConfig, EmaConfig, MuonConfig, PlateauSchedule, PowerEmaConfig, ScheduleConfig, SgdConfig, StepSchedule
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
    "Comparison",
    "ConsistencyRegulariser",
    "DataConfig",
    "DcganDiscriminator",
    "DcganGenerator",
    "DiffAugment",
    "EmaConfig",
    "EvaluationConfig",
    "Family",
    "FastganDiscriminator",
    "FastganGenerator",
    "GanConfig",
    "GradientPenalty",
    "HingeLoss",
    "LatentConfig",
    "LeastSquaresLoss",
    "LecamRegulariser",
    "LogConfig",
    "MatchingConfig",
    "MatchingRegulariser",
    "MlpDiscriminator",
    "MlpGenerator",
    "MuonConfig",
    "OrthogonalRegulariser",
    "PathLengthRegulariser",
    "PlateauSchedule",
    "PowerEmaConfig",
    "ProjectedDiscriminator",
    "R1Penalty",
    "R1R2Penalty",
    "R3ganDiscriminator",
    "R3ganGenerator",
    "RelativisticHingeLoss",
    "RelativisticPairingLoss",
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
