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
    ROLL_BACK = "roll back"
    """Go on from the best checkpoint with gentler settings; stop where that can't be done (any more)."""


@dataclass(frozen=True)
class Answer:
    """A verdict and, unless the run just goes on, the reason that people are told."""

    verdict: Verdict
    reason: str = ""
    since: int | None = None
    """Pictures after which that began: a checkpoint to roll back to must be older."""


CONTINUE = Answer(Verdict.CONTINUE)


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
    live: Callable[[], Sampler]
    """A sampler of the modules as they train; nothing is fitted, so it costs no more than the pictures."""
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

    def __call__(self, moment: Moment) -> Answer:
        """Do it."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """JSON values and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`; also while it runs, when the run is rolled back."""
        ...
