"""Why a session ends before its run does: a time, a signal, a file, or a hook that asked for it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganvas.runs import RunFolder
from ganvas.training.timing import Timing
from ganvas.units import format_duration


class Stopping:
    """The first reason that came up; None while there is none."""

    def __init__(self, folder: RunFolder, timing: Timing, started: float):
        self.folder, self.timing, self.started = folder, timing, started
        self.reason: str | None = None

    def ask(self, reason: str) -> None:
        """Stop after this step."""
        self.reason = self.reason or reason

    def due(self, stop_after: float | None) -> bool:
        """Whether to stop now; `stop_after`: seconds from the session's start."""
        if self.reason is None and stop_after is not None:
            reserve = 1.5 * self.timing.saving_seconds + self.timing.step_seconds
            if time.time() - self.started + reserve >= stop_after:
                self.reason = f"--stop-after {format_duration(stop_after)}"
        if self.reason is None and self.timing.every_second() and self.folder.stop_file.exists():
            self.reason = "control/stop"
            self.folder.stop_file.unlink(missing_ok=True)
        return self.reason is not None

    @contextmanager
    def signals(self, say: Callable[[str], None]) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step, saved; a second Ctrl-C ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, _frame: object) -> None:
            name = signal.Signals(number).name
            if self.reason is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.reason = "Ctrl-C" if number == signal.SIGINT else name
            say(f"{self.reason}: saving, then stopping (Ctrl-C again: stop at once)")

        old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
