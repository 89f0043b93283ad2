"""Precisions beside each other: Welch's interval is SciPy's, what is kept is not trained again, and the page is that."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

from benchmark_modules import load
from ganvas.errors import UserError


@pytest.fixture(scope="module")
def precision() -> ModuleType:
    return load("precision")


def trial(name: str, seed: int, fd: float) -> dict[str, Any]:
    score = {"value": fd, "low": fd - 1, "high": fd + 1}
    scores = {"fd": score, "kid": score, "recall": {"value": 0.5}}
    return {"precision": name, "seed": seed, "scores": scores, "images": 10, "cpu_seconds": 2.0}


def test_the_interval_is_welchs(precision: ModuleType) -> None:
    first, second = [100.0, 104.0, 99.0], [103.0, 110.0, 101.0]
    difference, half = precision.welch(first, second)
    interval = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert (difference - half, difference + half) == pytest.approx((interval.low, interval.high))
    assert precision.welch([1.0, 1.0], [2.0, 2.0]) == (1.0, 0.0)


def test_what_is_kept_is_not_trained_again(precision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "KEPT", tmp_path)
    wanted = precision.Trial("codes", "cifar10", 10, "bf16", 1)
    wanted.kept.write_text('{"trials": [{"precision": "bf16", "seed": 1}]}')
    monkeypatch.setattr(precision, "prepared", lambda *_: pytest.fail("it was to be left alone"))
    before = wanted.kept.read_bytes()
    precision.run(argparse.Namespace(), wanted, threading.Lock())
    assert wanted.kept.read_bytes() == before


def test_a_trial_is_kept_by_its_precision_beside_the_score_of_that_name(
    precision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "KEPT", tmp_path)
    monkeypatch.setattr(precision, "prepared", lambda *_: tmp_path)

    def command(_: Any, what: str, *words: Any) -> None:
        if what == "evaluate":
            precision.artifact.write_json(words[words.index("--out") + 1], {name: {"value": 0.5} for name in precision.SHOWN})
        else:
            Path(words[words.index("--out") + 1]).mkdir(parents=True)

    monkeypatch.setattr(precision, "command", command)
    monkeypatch.setattr(precision, "open_run", lambda _: None)
    monkeypatch.setattr(precision, "compare", lambda _: argparse.Namespace(rows=[{"images": 10, "cpu_seconds": 2.0}]))
    options = argparse.Namespace(work=tmp_path / "work", threads=1, jobs=1)
    for name in ("fp32", "bf16"):
        precision.run(options, precision.Trial("codes", "cifar10", 10, name, 1), threading.Lock())
    kept = precision.lines(tmp_path / "codes-cifar10-10.json")
    assert [line["precision"] for line in kept] == ["bf16", "fp32"]
    assert kept[0]["scores"]["precision"] == {"value": 0.5}


@pytest.mark.parametrize(("off", "words"), [(0.5, "may be none"), (50.0, "more than chance")])
def test_the_page_says_whether_it_may_be_chance(
    precision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float, words: str
) -> None:
    monkeypatch.setattr(precision, "KEPT", tmp_path)
    trials = [trial(name, seed, 100 + seed + (off if name == "bf16" else 0)) for name in precision.PRECISIONS for seed in range(3)]
    kept = {"attempt": "codes", "on": "cifar10", "images": 10, "machine": {"processor": "one"}, "trials": trials}
    precision.artifact.write_json(tmp_path / "one.json", kept)
    page = precision.page()
    assert words in page
    assert f"bf16 less fp32 +{off:.1f}" in page
    precision.artifact.write_json(tmp_path / "none.json", {**kept, "trials": []})
    with pytest.raises(UserError, match="holds no training"):
        precision.page()


def test_the_page_is_what_the_kept_trainings_make(precision: ModuleType) -> None:
    assert precision.PAGE.read_text() == precision.page()
