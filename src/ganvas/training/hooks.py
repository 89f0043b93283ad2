"""What others may do while a run trains, and what they may answer."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ganvas.families.base import Sampler
from ganvas.runs import RunFolder


class Verdict(enum.Enum):
    """What the loop does next."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True)
class Moment:
    """What a hook sees of the run."""

    folder: RunFolder
    images: int
    total: int | None
    seconds: float
    """Training time so far, over all sessions."""
    last: bool
    """Whether the run ends here."""
    sampler: Callable[[], Sampler]
    """A sampler of the averaged modules, its batch norms fitted; made once for each moment."""
    save: Callable[[str], None]
    """Write the checkpoint of that name."""
    say: Callable[[str], None]
    """Tell the user."""
    score: Callable[[float], None]
    """Tell the loop the KID of the samples: a plateau schedule listens."""


@runtime_checkable
class Hook(Protocol):
    """Called when due; its state is kept in checkpoints."""

    name: str

    def due(self, images: int, total: int | None) -> bool:
        """Whether it wants to be called now, a step having just ended."""
        ...

    def cost(self) -> float:
        """Seconds that one call takes, as far as known."""
        ...

    def remaining(self, images: int, total: int) -> int:
        """How many calls are still to come."""
        ...

    def __call__(self, moment: Moment) -> Verdict:
        """Do it."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """JSON values and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        ...
