"""The config models of a run, and YAML in and out. Free of torch."""

from ganvas.config.data import AugmentConfig, DataConfig
from ganvas.config.family import Family, GanConfig, LatentConfig
from ganvas.config.model import DcganDiscriminator, DcganGenerator
from ganvas.config.objective import BceLoss, DiffAugment, HingeLoss, R1Penalty
from ganvas.config.optim import AdamConfig, EmaConfig, ScheduleConfig
from ganvas.config.run import CheckpointConfig, EvaluationConfig, LogConfig, RunConfig, SamplesConfig, TrainConfig

__all__ = [
    "AdamConfig",
    "AugmentConfig",
    "BceLoss",
    "CheckpointConfig",
    "DataConfig",
    "DcganDiscriminator",
    "DcganGenerator",
    "DiffAugment",
    "EmaConfig",
    "EvaluationConfig",
    "Family",
    "GanConfig",
    "HingeLoss",
    "LatentConfig",
    "LogConfig",
    "R1Penalty",
    "RunConfig",
    "SamplesConfig",
    "ScheduleConfig",
    "TrainConfig",
]
