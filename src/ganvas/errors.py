"""Errors that are for people: what happened, what was expected and how to mend it.

Everything a user can cause is raised as a `UserError` (or one of its kinds); `cli/main.py` is the
one place that catches it, prints the message without a traceback and exits with its status.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A message for the user: what happened, what was expected, how to mend it."""

    exit_status = 1


class UsageError(UserError):
    """The words of a command, a config or an argument are wrong; nothing was started."""

    exit_status = 2


class DataError(UserError):
    """The pictures or the packed data set can't be used as they are."""


class RunError(UserError):
    """A run folder or a checkpoint can't be used as it is."""


class TrainingFailed(UserError):
    """Training itself failed (for example, it produced NaN); the last good checkpoint is kept."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the known word nearest to `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{match[0]}"?' if match else ""
