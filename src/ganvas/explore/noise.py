"""The noises on codes that a sweep goes through."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ganvas.errors import UsageError

NOISES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Deviations, beside the run's own."""


def parse_noises(words: Sequence[str | float]) -> tuple[float, ...]:
    """Deviations of 0 or more, each once, in rising order.

    Raises:
        UsageError: a word is none.
    """
    found: set[float] = set()
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise UsageError(f'"{word}" is no noise: expected deviations of 0 or more, such as 0.1,0.3,0.5')
        found.add(value)
    return tuple(sorted(found))
