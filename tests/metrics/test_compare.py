"""Runs compared by evaluations of this version and of the one before intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganvas.metrics.compare import compare
from ganvas.runs import RunFolder

BASIS = {"features": "efficientnet-lite0", "n": 1000, "reference_n": 900, "split": "train", "resizer": "none"}


def _run(path: Path, **scores: Any) -> RunFolder:
    path.mkdir()
    (path / "evaluation.json").write_text(json.dumps({key: {**BASIS, **score} for key, score in scores.items()} | {"data_checksum": "d"}))
    return RunFolder(path)


def _fd(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "confidence": 0.95}


def test_a_best_that_may_be_chance_is_said_to_be(tmp_path: Path) -> None:
    runs = [_run(tmp_path / name, fd=_fd(value, 2), coverage={"value": value / 100}) for name, value in (("a", 10), ("b", 12), ("c", 30))]
    found = compare(runs)
    assert found.best == {"fd": ("a",), "coverage": ("c",)}
    assert found.rows[0]["intervals"] == {"fd": [8, 12]}
    (caution,) = found.cautions
    assert caution.startswith("b: FD may differ from the best, a's, only by chance")
    assert "coverage" in found.summary()


def test_evaluations_without_intervals_are_read(tmp_path: Path) -> None:
    """As version 1 wrote them."""
    old = {key: {"value": value} for key, value in {"fd": 12.5, "kid": 0.01, "precision": 0.7, "recall": 0.3}.items()}
    found = compare([_run(tmp_path / "old", **old), _run(tmp_path / "older", **old)])
    assert set(found.best) == {"fd", "kid", "precision", "recall"}
    assert found.rows[0]["intervals"] == {}
    assert found.cautions == ()
    assert "12.50 *" in found.summary()


@pytest.mark.parametrize("score", [{}, {"low": 1}, {"value": 3, "low": "x", "high": None}])
def test_damaged_scores_do_no_harm(tmp_path: Path, score: dict[str, Any]) -> None:
    assert compare([_run(tmp_path / "a", fd=score), _run(tmp_path / "b", fd=_fd(3, 1))]).rows[0]["intervals"] == {}
