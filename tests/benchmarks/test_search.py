"""The search for a recipe's numbers: it begins with the recipe's own, goes on from what is kept, and the page is that."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmark_modules import load
from ganvas.config import io
from ganvas.errors import UserError

RATE = "family.optimizer_g.lr"


@pytest.fixture(scope="module")
def search() -> ModuleType:
    return load("search")


@pytest.mark.parametrize(("attempt", "on"), [("codes", "cifar10"), ("codes", "cats"), ("codes-drawings", "emoji")])
def test_a_recipes_own_numbers_are_among_those_searched_and_all_are_configs(search: ModuleType, attempt: str, on: str) -> None:
    study, space = search.Study(attempt, on, 2.5), search.SPACES[attempt]
    own = study.own()
    assert own.keys() == space.keys()
    words = search.ATTEMPTS[attempt].command(search.SETS[on])
    for key, values in space.items():
        ends = (values.low, values.high) if isinstance(values, search.Range) else values
        assert min(ends) <= own[key] <= max(ends)
        assert isinstance(values, search.Range) or own[key] in values
        for value in ends:
            assert search._at(io.load(words[0], [*words[2::2], f"{key}={value}"]).model_dump(mode="json"), key) == value


def test_it_goes_on_from_what_is_kept_and_a_failed_trial_stops_no_other(
    search: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(search, "prepared", lambda *_: tmp_path)
    tried: list[tuple[int, Any]] = []

    def trial(_options: Any, _study: Any, number: int, values: Any, _data: Path) -> dict[str, Any]:
        tried.append((number, dict(values)))
        if number == 1:
            raise UserError("the disk is full")
        fd = {"value": abs(values[RATE] - 2e-3) * 1e5 + 50, "low": 0.0, "high": 1e9}
        return {"trial": number, "values": dict(values), "fd": fd, "recall": {"value": 0.5}, "images": 1, "health": "no"}

    monkeypatch.setattr(search, "tried", trial)
    study = search.Study("codes", "cifar10", 2.5)
    options = argparse.Namespace(jobs=1, trials=3, threads=1)
    assert search.search(options, study) == 1
    assert search.search(options, study) == 0
    assert [number for number, _ in tried] == [0, 1, 2, 3, 4, 5]
    assert tried[0][1] == study.own()
    assert len({values[RATE] for _, values in tried}) == 6
    assert [line["trial"] for line in study.trials()] == [0, 2, 3, 4, 5]
    best = min(study.trials(), key=lambda line: line["fd"]["value"])
    rows = [line for line in search.page().splitlines() if line.startswith("| ")]
    assert rows[1].startswith(f"| {best['trial']} | {best['fd']['value']:.1f} |")
    assert len(rows) == 6


def test_the_page_is_what_the_kept_trials_make(search: ModuleType) -> None:
    assert search.PAGE.exists() == search.KEPT.exists()
    if search.PAGE.exists():
        assert search.PAGE.read_text() == search.page()
