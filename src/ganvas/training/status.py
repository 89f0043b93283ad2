"""What a session says of itself in `status.json`."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict

from ganvas import artifact
from ganvas.runs import RunFolder, State, Status
from ganvas.training.budget import Plan
from ganvas.training.energy import Spent


class StatusFile:
    """Written at the beginning, as a sign of life in between, and at the end."""

    def __init__(self, folder: RunFolder, plan: Plan, started: float):
        """`started`: Unix time at which the session began."""
        self.folder, self.plan, self.started = folder, plan, started
        self.best: dict[str, float] | None = None
        """`images` and `kid` of checkpoints/best."""

    def write(self, state: State, reason: str | None, images: int, seconds: float, rate: float | None, spent: Spent) -> None:
        """`seconds` of training and what was `spent` over all sessions, `rate` in pictures per second of this one.

        Raises:
            UserError: the disk is full.
        """
        total = self.plan.total(images)
        ends = time.time() + (total - images) / rate if state == "running" and total and rate else None
        if state == "running" and self.plan.budget:
            ends = time.time() - seconds + self.plan.budget
        status = Status(
            state=state,
            reason=reason,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=self.started,
            heartbeat=time.time(),
            images=images,
            total_images=total,
            seconds=seconds,
            pictures_per_second=rate,
            expected_end=ends,
            best=self.best,
            **asdict(spent),
        )
        artifact.write_text(self.folder.status_file, status.model_dump_json(indent=2) + "\n")
