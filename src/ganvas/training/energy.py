"""What a session spends: processor time, and energy as far as the machine tells."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows Intel's and AMD's energy counters (RAPL); reading them may need a permission."""


@dataclass(frozen=True)
class Spent:
    """What was spent so far, over all sessions; None where it is not known of each of them."""

    cpu_seconds: float | None = 0.0
    """Processor time of the training process, all threads together."""
    joules: float | None = 0.0
    """Energy of the whole processor, whatever else ran on it."""

    def plus(self, other: Spent) -> Spent:
        """Both together; what one does not know, the sum doesn't."""
        return Spent(_sum(self.cpu_seconds, other.cpu_seconds), _sum(self.joules, other.joules))


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


class Meter:
    """Counts from the moment it is made. Read it at least once an hour: RAPL's counters wrap around."""

    def __init__(self, powercap: Path = POWERCAP):
        self._cpu = time.process_time()
        # Packages only (intel-rapl:0): the zones below them (intel-rapl:0:1) are parts of them.
        self._zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if zone.name.count(":") == 1 and _counter(zone) is not None]
        self._last = [_counter(zone) for zone in self._zones]
        self._joules: float | None = 0.0 if self._zones else None

    def read(self) -> Spent:
        """What was spent since the meter was made."""
        for i, zone in enumerate(self._zones):
            now, before = _counter(zone), self._last[i]
            if now is None or before is None or self._joules is None:
                self._joules = None
                break
            turned = _number(zone / "max_energy_range_uj") or 0 if now < before else 0
            self._joules += (now - before + turned) / 1e6
            self._last[i] = now
        return Spent(time.process_time() - self._cpu, self._joules)


def _counter(zone: Path) -> int | None:
    """Microjoules."""
    return _number(zone / "energy_uj")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, not permitted, or no number
        return None
