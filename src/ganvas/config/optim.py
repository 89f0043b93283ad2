"""Optimizers and how their learning rates change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganvas.config.base import Part, kind_or

MAX_SIGMA = 12**-0.5
"""The relative width of the mean over the whole run: the widest average that a power of at least zero makes."""
Sigma = Annotated[float, Field(gt=0, lt=MAX_SIGMA)]


class AdamConfig(Part):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam"] = "adam"
    lr: float = Field(default=2e-4, gt=0)
    betas: tuple[float, float] = (0.5, 0.999)
    final_beta2: float | None = Field(
        default=None, gt=0, lt=1, description="beta2 moves to this as the schedule's rate moves to its final one; null: it stays"
    )
    eps: float = Field(default=1e-8, gt=0)


class SgdConfig(Part):
    """Stochastic gradient descent, with Polyak's momentum where it is above zero."""

    kind: Literal["sgd"] = "sgd"
    lr: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)


class MuonConfig(Part):
    """Muon (Jordan et al. 2024) for kernels and other matrices; Adam, at the same rate, for the rest."""

    kind: Literal["muon"] = "muon"
    lr: float = Field(default=1e-3, gt=0, description="of both; a matrix moves as far in a step as Adam would move it")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="Muon's, after Nesterov")
    betas: tuple[float, float] = Field(default=(0.9, 0.99), description="Adam's")
    eps: float = Field(default=1e-8, gt=0)


Optimizer = Annotated[AdamConfig | SgdConfig | MuonConfig, Field(discriminator="kind"), kind_or("adam")]


class _Schedule(Part):
    warmup_images: int = Field(default=0, ge=0, description="pictures over which the rate rises from zero")


class ScheduleConfig(_Schedule):
    """The learning rate's factor over the run: one, or falling along a line or half a cosine."""

    kind: Literal["constant", "linear", "cosine"] = "constant"
    start: float = Field(default=0.0, ge=0, lt=1, description="share of the run after which the rate begins to fall")
    end: float = Field(default=1.0, gt=0, le=1, description="share of the run at which the rate has fallen to its final value")
    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end")

    @model_validator(mode="after")
    def _falls_forwards(self) -> ScheduleConfig:
        if not self.start < self.end:
            raise ValueError(f"start ({self.start:g}) must be below end ({self.end:g})")
        return self


class StepSchedule(_Schedule):
    """The rate is multiplied by `gamma` at evenly spaced moments, `steps` times in a run."""

    kind: Literal["step"] = "step"
    steps: int = Field(default=10, ge=1, description="the run is cut into so many parts; the rate falls after each")
    gamma: float = Field(default=0.5, gt=0, le=1, description="factor at each")


class PlateauSchedule(_Schedule):
    """The rate falls when the pictures stop getting better: the signal is the KID of the evaluations while training.

    A player's loss is no signal: it says how the other one stands, not how good the pictures are.
    """

    kind: Literal["plateau"] = "plateau"
    patience: int = Field(default=3, ge=1, description="evaluations without a better KID after which the rate falls")
    gamma: float = Field(default=0.5, gt=0, lt=1, description="factor at each fall")
    threshold: float = Field(default=0.01, ge=0, lt=1, description="a KID is better if it is lower by this share of the best one")
    minimum: float = Field(default=0.01, gt=0, le=1, description="the factor does not fall below this")


Schedule = Annotated[ScheduleConfig | StepSchedule | PlateauSchedule, Field(discriminator="kind"), kind_or("constant")]


class EmaConfig(Part):
    """Exponential moving average of the generator's parameters."""

    kind: Literal["halflife"] = "halflife"
    halflife_images: float = Field(default=10_000, gt=0, description="pictures after which a past value counts half")
    rampup: float | None = Field(
        default=0.05, gt=0, description="the half-life is at most this share of the pictures seen so far; null: none"
    )


class PowerEmaConfig(Part):
    """Averages that weigh the past by a power of its time, from which others can be made after training (Karras et al. 2024).

    On disk they take at most 2 * `snapshots` times what the generator takes, beside the checkpoints.
    """

    kind: Literal["power"] = "power"
    sigmas: tuple[Sigma, Sigma] = Field(
        default=(0.05, 0.10), description="widths of the two that are tracked, as shares of the run; samples show the first"
    )
    snapshots: int = Field(default=32, ge=4, description="moments at which both are kept, at most; later ones replace every second one")
    every: int = Field(default=10_000, ge=1, description="pictures between two of them at first; doubled when there are too many")

    @model_validator(mode="after")
    def _are_two(self) -> PowerEmaConfig:
        if self.sigmas[0] == self.sigmas[1]:
            raise ValueError(f"sigmas are both {self.sigmas[0]:g}: two widths are needed to make others of them")
        return self


Ema = Annotated[EmaConfig | PowerEmaConfig, Field(discriminator="kind"), kind_or("halflife")]
