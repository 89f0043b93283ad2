"""The truncations that a sweep goes through."""

from __future__ import annotations

from collections.abc import Sequence

from ganvas.errors import UsageError

TRUNCATIONS: tuple[float | None, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, None)
"""Of normal latents."""
PSIS: tuple[float | None, ...] = (0.25, 0.4, 0.55, 0.7, 0.85, None)
"""Of a StyleGAN's styles, for which 1 changes nothing."""


def parse_truncations(words: Sequence[str]) -> tuple[float | None, ...]:
    """Thresholds above zero and `none`, each once, in rising order.

    Raises:
        UsageError: a word is neither.
    """
    found: set[float] = set()
    for word in words:
        try:
            value = float("inf") if word == "none" else float(word)
        except ValueError:
            value = 0.0
        if not value > 0:
            raise UsageError(f'"{word}" is no truncation: expected numbers above zero and none, such as 0.5,1,none')
        found.add(value)
    return tuple(None if value == float("inf") else value for value in sorted(found))
