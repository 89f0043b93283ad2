"""The attempts at the best pictures for so many minutes: each is a recipe that there is, and the page is what is kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ganvas
from benchmark_modules import load
from ganvas.config import io
from ganvas.errors import UserError
from ganvas.runs import open_run
from small import config


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    return load("quality")


def test_every_attempt_is_a_config_for_every_set(quality: ModuleType) -> None:
    for on in quality.SETS.values():
        for name, attempt in quality.ATTEMPTS.items():
            recipe, *words = attempt.command(on)
            if recipe == "auto":  # looks at the pictures first
                continue
            config = io.load(recipe, words[1::2], {"train.budget": "10m"})
            assert config.data.resolution == on.side, name
            assert config.family.conditional == (on.classes and name != "projected-unlabelled"), name


def test_a_shorter_run_goes_on_in_a_copy(quality: ModuleType, packed: Path, tmp_path: Path) -> None:
    shorter = quality.Job("dcgan", "cats", 30, 0)
    older = tmp_path / "quality/cats" / shorter.name / "run"
    run = ganvas.train(config(data=packed, train__images=64), out=older, quiet=True)
    folder = tmp_path / "longer/run"
    folder.parent.mkdir()
    seconds = run.folder.status().seconds  # type: ignore[union-attr]
    quality.go_on(argparse.Namespace(work=tmp_path, threads=1), shorter, folder, (seconds + 15) / 60)
    assert open_run(folder).status().images > 64  # type: ignore[union-attr]
    assert open_run(older).status().images == 64  # type: ignore[union-attr]
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("changes", "stop_after", "words"),
    [({}, 1e-6, "did not end: train it first, with --minutes 30"), ({"schedule": {"kind": "linear"}}, None, "has a linear rate")],
)
def test_a_run_that_would_not_be_the_same_does_not_go_on(
    quality: ModuleType, packed: Path, tmp_path: Path, changes: dict[str, Any], stop_after: float | None, words: str
) -> None:
    shorter = quality.Job("dcgan", "cats", 30, 0)
    older = tmp_path / "quality/cats" / shorter.name / "run"
    ganvas.train(config(data=packed, train__images=64, **changes), out=older, stop_after=stop_after, quiet=True)
    with pytest.raises(UserError, match=words):
        quality.go_on(argparse.Namespace(work=tmp_path, threads=1), shorter, tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()


def test_the_page_is_what_the_kept_results_make(quality: ModuleType) -> None:
    assert quality.PAGE.exists() == quality.RESULTS.exists()
    if quality.PAGE.exists():
        assert quality.PAGE.read_text() == quality.page()
