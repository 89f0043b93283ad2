"""The whole of a run's config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ganvas.config.base import Part
from ganvas.config.data import AugmentConfig, DataConfig
from ganvas.config.family import Family, GanConfig
from ganvas.config.optim import Ema, EmaConfig, PlateauSchedule, Schedule, ScheduleConfig
from ganvas.units import format_duration, parse_duration


class TrainConfig(Part):
    """How long and on what. Exactly one of `images`, `epochs` and `budget` says how long."""

    images: int | None = Field(default=None, ge=1, description="real pictures shown to the discriminator")
    epochs: float | None = Field(default=None, gt=0, description="passes over the training pictures")
    budget: str | None = Field(default=None, description="time from start to end, such as 30m; start-up and last checkpoint included")
    batch: int = Field(default=64, ge=1)
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1 or mps")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 autocast where the processor has AMX or AVX512-BF16, or the GPU has bf16; else fp32"
    )
    threads: int | None = Field(default=None, ge=1, description="processor threads; null: one for each core")

    @field_validator("budget")
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_duration(value)
            except Exception as error:
                raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        given = [name for name in ("images", "epochs", "budget") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of images, epochs and budget says how long to train, not {' and '.join(given) or 'none'}")
        return self

    def total(self, pictures: int) -> int | None:
        """Pictures shown in all, of so many that there are to train on; None where a budget says how long."""
        return self.images if self.epochs is None else round(self.epochs * pictures)

    @property
    def twice(self) -> str:
        """The option of `ganvas train --resume` that makes the run twice as long."""
        if self.budget is not None:
            return f"--budget {format_duration(2 * parse_duration(self.budget))}"
        return f"--images {2 * self.images}" if self.images is not None else f"--epochs {2 * (self.epochs or 0):g}"


class LogConfig(Part):
    """Lines of `metrics.jsonl` and TensorBoard."""

    every: int = Field(default=5_000, ge=1, description="pictures between two lines")
    tensorboard: bool = True


class SamplesConfig(Part):
    """Grids of fixed latents over the run."""

    every: int = Field(default=20_000, ge=1, description="pictures between two grids")
    rows: int = Field(default=8, ge=1)
    columns: int = Field(default=8, ge=1)


class CheckpointConfig(Part):
    """What is kept to go on from."""

    every: int = Field(default=50_000, ge=1, description="pictures between two checkpoints")


class EvaluationConfig(Part):
    """Scores while training; the lowest KID makes `checkpoints/best`, and `fresh` before that copies."""

    every: int | None = Field(
        default=None, ge=1, description="pictures between two evaluations; null: as often as takes about 5% of the time"
    )
    samples: int = Field(default=2_000, ge=100)
    features: str = "efficientnet-lite0"


class TransferConfig(Part):
    """Begin with what an older run learnt (Wang et al. 2018; FreezeD: Mo et al. 2020)."""

    run: str = Field(description="folder of the older run; needed once, at the start")
    checkpoint: Literal["best", "last", "fresh"] | None = Field(default=None, description="null: best, or last where there is no best")
    freeze: int = Field(default=0, ge=0, description="first layers of the discriminator that stay as they were")


class RunConfig(Part):
    """A complete run: what `config.yaml` holds and what a recipe is."""

    name: str = Field(default="custom", description="the recipe's name")
    about: str = Field(default="", description="one line for people")
    source: str = Field(default="", description="the paper or report that it comes from")
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    family: Family = GanConfig()
    transfer: TransferConfig | None = None
    train: TrainConfig = TrainConfig(images=1_000_000)
    schedule: Schedule = ScheduleConfig()
    ema: Ema | None = EmaConfig()
    log: LogConfig = LogConfig()
    samples: SamplesConfig = SamplesConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluation: EvaluationConfig | None = EvaluationConfig()
    on_collapse: Literal["stop", "rollback"] | None = Field(
        default=None,
        description="when the run's health says that it collapsed: stop it, or roll back to the best checkpoint and halve the learning rates, three times at most; null: say so and go on",
    )

    @model_validator(mode="after")
    def _rollback_has_a_target(self) -> RunConfig:
        if self.on_collapse == "rollback" and self.evaluation is None:
            raise ValueError(
                "on_collapse is rollback, which goes back to the checkpoint with the best KID, but evaluation is null: set evaluation.samples"
            )
        return self

    @model_validator(mode="after")
    def _plateau_has_a_signal(self) -> RunConfig:
        if isinstance(self.schedule, PlateauSchedule):
            if self.evaluation is None:
                raise ValueError(
                    "schedule.kind is plateau, which listens to the KID of evaluations, but evaluation is null: set evaluation.every"
                )
            if self.train.budget is not None and self.evaluation.every is None:
                # How often a budget evaluates is measured anew in each session: a resumed run would learn at other rates.
                raise ValueError(
                    "schedule.kind is plateau and train.budget is set: set evaluation.every, so that a resumed run falls when it would have"
                )
        return self
