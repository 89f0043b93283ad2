"""How the learning rates change over a run."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

from ganvas.config.optim import PlateauSchedule, ScheduleConfig, StepSchedule
from ganvas.config.optim import Schedule as ScheduleKind


@runtime_checkable
class Schedule(Protocol):
    """The learning rates' factor, and what it remembers."""

    def factor(self, images: int, total: int | None) -> float:
        """After `images` pictures of `total`; without a total yet, as at the start."""
        ...

    def annealed(self, images: int, total: int | None) -> float:
        """How far the rate has come on its way to the final one, 0 to 1: what else moves over a run goes along with it."""
        ...

    def observe(self, kid: float) -> None:
        """Take in the KID of an evaluation; called as the evaluations come, but not for that at the run's end."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        ...


def warmth(warmup_images: int, images: int) -> float:
    """The factor of a rate that rises from zero over the first pictures."""
    return min(1.0, (images + 1) / warmup_images) if warmup_images else 1.0


class Planned:
    """A schedule that is a function of the run's progress: nothing to remember."""

    def __init__(self, config: ScheduleConfig | StepSchedule):
        self.config = config

    def factor(self, images: int, total: int | None) -> float:
        """See `Schedule`."""
        warm = warmth(self.config.warmup_images, images)
        if not total:
            return warm
        progress = min(1.0, images / total)
        return warm * (stepped(self.config, progress) if isinstance(self.config, StepSchedule) else fallen(self.config, progress))

    def annealed(self, images: int, total: int | None) -> float:
        """See `Schedule`; a rate that falls in steps has no final one."""
        return fallen_part(self.config, images / total) if total and isinstance(self.config, ScheduleConfig) else 0.0

    def observe(self, kid: float) -> None:
        """Nothing depends on it."""

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def fallen(config: ScheduleConfig, progress: float) -> float:
    """The factor of a rate that falls along a line or half a cosine."""
    return 1 + (config.final - 1) * fallen_part(config, progress)


def fallen_part(config: ScheduleConfig, progress: float) -> float:
    """How much of its fall a rate has behind it, 0 to 1; a constant one does not fall."""
    if config.kind == "constant":
        return 0.0
    part = min(1.0, max(0.0, (progress - config.start) / (config.end - config.start)))
    return part if config.kind == "linear" else (1 - math.cos(math.pi * part)) / 2


def stepped(config: StepSchedule, progress: float) -> float:
    """The factor of a rate that falls at evenly spaced moments: gamma to the power of how many have passed."""
    return config.gamma ** min(config.steps - 1, math.floor(progress * config.steps))


class Plateau:
    """A rate that falls when evaluations stop getting better."""

    def __init__(self, config: PlateauSchedule):
        self.config = config
        self._scale = 1.0
        self._best: float | None = None
        self._waited = 0

    def factor(self, images: int, total: int | None) -> float:
        """See `Schedule`."""
        return warmth(self.config.warmup_images, images) * self._scale

    def annealed(self, images: int, total: int | None) -> float:
        """See `Schedule`: nobody knows how far this one still has to go."""
        return 0.0

    def observe(self, kid: float) -> None:
        """Fall after `patience` evaluations in a row that were no better than the best."""
        # An unbiased KID may be below zero: a share of its size, so that better is always lower.
        if self._best is None or kid < self._best - self.config.threshold * abs(self._best):
            self._best, self._waited = kid, 0
            return
        self._waited += 1
        if self._waited >= self.config.patience:
            self._scale, self._waited = max(self.config.minimum, self._scale * self.config.gamma), 0

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"scale": self._scale, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self._scale, self._best, self._waited = state["scale"], state["best"], state["waited"]


SCHEDULES = {ScheduleConfig: Planned, StepSchedule: Planned, PlateauSchedule: Plateau}


def build_schedule(config: ScheduleKind) -> Schedule:
    """The schedule that a config describes."""
    return SCHEDULES[type(config)](config)  # type: ignore[arg-type]
