"""Progress for anything over two seconds: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def interactive() -> bool:
    """Whether standard error is a terminal or a notebook, so that a bar can be drawn."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Progress:
    """Counts towards `total`; draws a bar where `interactive()`, else a plain line every `interval` seconds.

    Everything goes to standard error, so that standard output holds results only.
    """

    def __init__(self, what: str, total: int | None, unit: str = "pictures", quiet: bool = False, interval: float = 5.0, initial: int = 0):
        """`initial` is what was counted before, in an earlier session: it counts towards the total and not the rate."""
        self.what, self.total, self.unit, self.interval = what, total, unit, interval
        self.count = self._initial = initial
        self._quiet = quiet
        self._start = self._last = time.monotonic()
        self._bar = None
        if not quiet and interactive():
            if importlib.util.find_spec("ipywidgets"):
                from tqdm.auto import tqdm
            else:  # where tqdm.auto would warn, in a notebook
                from tqdm.std import tqdm

            self._bar = tqdm(total=total, initial=initial, desc=what, unit=f" {unit}", dynamic_ncols=True, delay=0.5, file=sys.stderr)

    def update(self, n: int = 1, note: str = "") -> None:
        """Count `n` more; `note` is shown behind the count."""
        self.count += n
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(n)
        elif not self._quiet and time.monotonic() - self._last >= self.interval:
            self._last = time.monotonic()
            self.say(self._line(note))

    def retarget(self, total: int | None) -> None:
        """Change the total, when a plan changed."""
        self.total = total
        if self._bar is not None:
            self._bar.total = total
            self._bar.refresh()

    def _line(self, note: str) -> str:
        rate = (self.count - self._initial) / max(time.monotonic() - self._start, 1e-9)
        of = f" of {self.total:,} ({self.count / self.total:.0%})" if self.total else ""
        return f"{self.what}: {self.count:,}{of} {self.unit}, {rate:,.0f}/s{', ' + note if note else ''}"

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._quiet:
            return
        # A reader that left (`2>&1 | head`) must not end a training.
        with contextlib.suppress(BrokenPipeError):
            if self._bar is not None:
                self._bar.write(text, file=sys.stderr)
            else:
                print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "pictures", quiet: bool = False) -> Iterator[T]:
    """Yield `items`, showing progress."""
    with Progress(what, total, unit, quiet) as progress:
        for item in items:
            yield item
            progress.update()
