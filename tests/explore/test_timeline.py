"""Moments of a timeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganvas.explore.timeline import short, spread


def test_moments_are_spread_evenly_with_both_ends() -> None:
    grids = [(i, Path(f"{i}.png")) for i in range(21)]
    assert [i for i, _ in spread(grids, 5)] == [0, 5, 10, 15, 20]
    assert [i for i, _ in spread(grids, 2)] == [0, 20]
    assert spread(grids[:3], 10) == grids[:3]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (950, "950"), (20_000, "20k"), (12_345, "12.3k"), (999_900, "1M"), (1_500_000, "1.5M")]
)
def test_counts_are_written_short(count: int, text: str) -> None:
    assert short(count) == text
