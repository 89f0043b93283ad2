"""Truncations in words and tables."""

from __future__ import annotations

import pytest

from ganvas.errors import UsageError
from ganvas.explore.truncation import Point, parse_truncations, plots, table
from ganvas.metrics.evaluate import Evaluation, Score


def point(truncation: float | None, value: float) -> Point:
    score = Score(value=value, features="efficientnet-lite0", n=100, split="train", resizer="none")
    scores = Evaluation(fd=score, kid=score, precision=score, recall=score, features_identity="x", data_checksum="y", dim=4, seconds=1.0)
    return Point(truncation, scores)


def test_words_become_rising_truncations() -> None:
    assert parse_truncations(["none", "1", "0.5", "1.0"]) == (0.5, 1.0, None)


@pytest.mark.parametrize("word", ["0", "-1", "much", "nan"])
def test_what_is_no_truncation_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"0\.5,1,none"):
        parse_truncations([word])


def test_the_table_is_csv_and_each_plot_a_png() -> None:
    points = [point(0.5, 0.25), point(None, 0.75)]
    assert table(points).splitlines() == ["truncation,fd,kid,precision,recall", "0.5,0.25,0.25,0.25,0.25", "none,0.75,0.75,0.75,0.75"]
    made = plots(points)
    assert set(made) == {"distance.png", "precision-recall.png", "trade-off.png"}
    assert all(data.startswith(b"\x89PNG") for data in made.values())
