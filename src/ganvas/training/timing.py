"""Where a session's time goes: steps and their files, apart from evaluations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timing:
    """Counts from the moment it is made."""

    def __init__(self) -> None:
        self.began = time.time()
        self.pictures = 0
        self.busy = 0.0
        self.last_pictures = 0
        self.step_seconds = 0.0
        self.saving_seconds = 0.0
        self._steps = 0
        self._beat = 0.0
        self._second = 0.0
        self._mark = (0, 0.0)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step; `shown` says how many pictures it took."""
        start = time.perf_counter()
        yield
        self._steps += 1
        self.step_seconds = time.perf_counter() - start
        # The first steps choose kernels and fill caches: they say nothing of those to come.
        if self._steps > 3:
            self.pictures += self.last_pictures
            self.busy += self.step_seconds

    def shown(self, pictures: int) -> None:
        """Pictures of the step that runs."""
        self.last_pictures = pictures

    @contextmanager
    def overhead(self) -> Iterator[None]:
        """Around what belongs to training beside its steps: log, grids, checkpoints."""
        start = time.perf_counter()
        yield
        self.busy += time.perf_counter() - start

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around a checkpoint."""
        start = time.perf_counter()
        yield
        self.saving_seconds = time.perf_counter() - start

    @property
    def rate(self) -> float | None:
        """Pictures per second of this session; None before the first steps ended."""
        return self.pictures / self.busy if self.pictures else None

    def recent_rate(self) -> float | None:
        """Pictures per second since it was asked last."""
        pictures, busy = self.pictures - self._mark[0], self.busy - self._mark[1]
        self._mark = (self.pictures, self.busy)
        return round(pictures / busy, 3) if busy > 0 else None

    def heartbeat(self) -> None:
        """A sign of life was written."""
        self._beat = time.monotonic()

    def since_heartbeat(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self._beat

    def every_second(self) -> bool:
        """Whether a second has passed since the last yes."""
        now = time.monotonic()
        if now - self._second < 1:
            return False
        self._second = now
        return True
