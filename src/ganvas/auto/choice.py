"""A choice: the config, the reasons for each part of it, and what to expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ganvas.config.run import RunConfig
from ganvas.notebook import Shown

_COLUMN = 11


@dataclass(frozen=True)
class Reason:
    """One thing that was decided."""

    what: str
    chosen: str
    because: str


@dataclass(frozen=True)
class Choice(Shown):
    """What `ganvas train` would do with some pictures where no recipe is named."""

    config: RunConfig
    """Complete: training it makes the same run wherever the choice was made."""
    reasons: tuple[Reason, ...]
    pictures_per_second: float
    """Of the config's steps on this machine, measured."""
    pictures_shown: int
    """About how many the run will show."""
    seconds: float
    """About how long it will take."""
    expectation: str
    """How good pictures will be, as far as other runs tell."""

    def summary(self) -> str:
        """For people."""
        lines = [f"{reason.what:{_COLUMN}}{reason.chosen}: {reason.because}" for reason in self.reasons]
        return "\n".join([*lines, f"{'expect':{_COLUMN}}{self.expectation}"])

    def to_json(self) -> dict[str, Any]:
        """For programs and the run's provenance; the config is a file of its own there."""
        return {
            "reasons": [{"what": r.what, "chosen": r.chosen, "because": r.because} for r in self.reasons],
            "pictures_per_second": round(self.pictures_per_second, 2),
            "pictures_shown": self.pictures_shown,
            "seconds": round(self.seconds, 1),
            "expectation": self.expectation,
        }
