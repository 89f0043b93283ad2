"""How many pictures a run will show: fixed, or planned so that it ends in time.

Each decision of a plan is kept as (pictures seen when it was made, total). A resumed run replays those that lie ahead
of its checkpoint before it makes new ones, so that with the same plan it ends in the same bits.
"""

from __future__ import annotations

from pathlib import Path

from ganvas import artifact
from ganvas.runs import read_json

CALIBRATION = 0.03
"""Share of a budget that is trained before the first plan."""
REVIEWS = (0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985)
"""Shares of a budget at which the plan is made anew."""


class Plan:
    """The total of a run and, for a budget, when it was decided."""

    def __init__(self, total: int | None, budget: float | None, batch: int, file: Path | None = None):
        """`total` pictures, or a `budget` in seconds; `file` keeps the decisions. Those that were made for another budget are dropped."""
        self.budget, self.batch, self._file = budget, batch, file
        self.decisions: list[tuple[int, int]] = [] if total is None else [(0, total)]
        self._reviewed = 0
        self._complete = False
        if budget is not None and file is not None and (kept := read_json(file)) and kept.get("budget_seconds") == budget:
            self.decisions = [(int(at), int(planned)) for at, planned in kept["decisions"]]
            self._complete = bool(kept.get("complete"))

    def total(self, images: int) -> int | None:
        """The total as it was decided at or before `images`; None before the first decision."""
        made = [planned for at, planned in self.decisions if at <= images]
        return made[-1] if made else None

    def replaying(self, images: int) -> bool:
        """Whether a decision that was kept lies ahead, or the whole plan was made by a run that reached its end."""
        return self._complete or any(at > images for at, _ in self.decisions)

    def decide(self, images: int, total: int) -> None:
        """Keep a decision."""
        self.decisions.append((images, max(images, total)))
        self._write()

    def prolong(self, images: int, spent: float) -> None:
        """Plan anew what a run that has trained for `spent` seconds is to show, by its pace so far: it was given this budget only now."""
        if self.budget is None:
            return
        self.decisions, self._reviewed, self._complete = [], 0, False
        if images and spent > 0:
            steps = int(max(0.0, self.budget - spent) * images / spent / self.batch)
            self.decide(images, images + steps * self.batch)

    def forget(self, images: int) -> None:
        """A budget's decisions after `images` were of a stretch that was rolled back: its time is gone, its pictures are not."""
        if self.budget is not None:
            self.decisions = [(at, planned) for at, planned in self.decisions if at <= images]
            self._reviewed, self._complete = 0, False
            self._write()

    def complete(self) -> None:
        """Keep that the run reached its end: replayed, the plan is followed to the same end, however long it takes."""
        self._complete = True
        self._write()

    def _write(self) -> None:
        if self._file is not None and self.budget is not None:
            plan = {"budget_seconds": self.budget, "decisions": self.decisions, "complete": self._complete}
            artifact.write_json(self._file, plan)

    def review(self, images: int, spent: float, trained: float, rate: float | None, reserve: float, final: float) -> bool:
        """Decide anew if it is time; whether it was.

        Args:
            images: pictures seen.
            spent: seconds of the budget that are gone, start-up included.
            trained: seconds of them in which steps were made.
            rate: pictures per second of steps, grids and checkpoints; None while unknown.
            reserve: seconds that evaluations still to come and the end will take.
            final: seconds that the end alone will take.
        """
        if self.budget is None or self.replaying(images):
            return False
        left = self.budget - spent
        if left <= final:
            self.decide(images, images)
            return True
        passed = sum(spent >= share * self.budget for share in REVIEWS)
        first = not self.decisions and trained >= CALIBRATION * self.budget
        if rate is None or not (first or (self.decisions and passed > self._reviewed)):
            return False
        self._reviewed = passed
        steps = int(max(0.0, left - reserve) * rate / self.batch)
        self.decide(images, images + steps * self.batch)
        return True
