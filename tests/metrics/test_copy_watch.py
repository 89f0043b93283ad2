"""Near-copies while training, by thumbnails: copies among fresh pictures are counted, and fresh ones are not taken for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ganvas.metrics import copy_watch
from ganvas.metrics.copy_watch import CopyWatch, WatchedCopies
from ganvas.metrics.neighbours import mirrored


def found(watch: CopyWatch | None, *batches: np.ndarray) -> WatchedCopies | None:
    assert watch is not None
    kept: list[Any] = []
    assert [len(batch) for batch in watch.watch(iter(batches), kept)] == [len(batch) for batch in batches]
    return watch.found(kept)


@pytest.mark.parametrize("held_out", [300, 99, None], ids=["held out", "too few held out", "nothing held out"])
def test_copies_are_counted_among_fresh_pictures(drawn: Any, pictures: Any, held_out: int | None) -> None:
    real = drawn(600, seed=1)
    watch = CopyWatch.of(pictures(real), None if held_out is None else pictures(drawn(held_out, seed=2), "val"))
    fresh = found(watch, drawn(300, seed=3))
    assert fresh is not None
    assert fresh.share <= fresh.usual
    some = found(watch, drawn(100, seed=4), mirrored(real[:25]), real[25:50], drawn(100, seed=5))
    assert some is not None
    assert some.share == pytest.approx(0.2, abs=0.03)
    assert some.share > some.usual
    assert some.usual < 0.15


def test_too_few_pictures_say_nothing(drawn: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CopyWatch.of(pictures(drawn(99)), None) is None
    watch = CopyWatch.of(pictures(drawn(100)), None)
    assert found(watch) is None
    assert found(watch, drawn(99, seed=3)) is None
    assert found(watch, drawn(100, seed=3)) is not None
    monkeypatch.setattr(copy_watch, "MOST", 150)
    assert CopyWatch.of(pictures(drawn(151)), None) is None
