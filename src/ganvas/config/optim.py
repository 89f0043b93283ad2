"""Optimizers and how their learning rates change."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganvas.config.base import Part


class AdamConfig(Part):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam"] = "adam"
    lr: float = Field(default=2e-4, gt=0)
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = Field(default=1e-8, gt=0)


class ScheduleConfig(Part):
    """The learning rate's factor over the run."""

    kind: Literal["constant", "linear", "cosine"] = "constant"
    warmup_images: int = Field(default=0, ge=0, description="pictures over which the rate rises from zero")
    start: float = Field(default=0.0, ge=0, lt=1, description="share of the run after which the rate begins to fall")
    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end")


class EmaConfig(Part):
    """Exponential moving average of the generator's parameters."""

    halflife_images: float = Field(default=10_000, gt=0, description="pictures after which a past value counts half")
    rampup: float | None = Field(
        default=0.05, gt=0, description="the half-life is at most this share of the pictures seen so far; null: none"
    )
