"""A choice as a whole, and a run of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ganvas as package
from ganvas.auto import rules
from ganvas.auto.choose import choose
from ganvas.auto.expected import Tried, sentence, tried
from ganvas.auto.pictures import Looks
from ganvas.config import CodedConfig
from ganvas.config.run import RunConfig
from ganvas.errors import UsageError
from ganvas.runs import open_run


def test_what_it_chooses_for_small_pictures_with_classes(packed: Path) -> None:
    choice = choose(packed, overrides={"train.images": 128}, quiet=True)
    config = choice.config
    assert (config.name, config.data.resolution, config.train.images, config.train.batch) == ("auto", 16, 128, 32)
    assert config.family.conditional
    assert choice.pictures_shown == 128
    assert choice.pictures_per_second > 0
    said = choice.summary()
    for word in ("resolution", "networks", "classes", "mirroring", "batch", "average", "machine", "expect"):
        assert word in said


def test_what_was_asked_for_stands(packed: Path) -> None:
    choice = choose(
        packed,
        settings=["train.batch=8", "augment.flip=false", "family.generator.labels=null"],
        overrides={"seed": 7},
        quiet=True,
    )
    config = choice.config
    assert (config.train.batch, config.augment.flip, config.seed, config.train.budget) == (8, False, 7, "30m")
    assert config.family.generator.labels is None
    assert not {"batch", "mirroring"} & {reason.what for reason in choice.reasons}


def test_a_warm_up_is_planned_by_its_own_pace(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pace(config: RunConfig, *_: object, at: int) -> float:
        assert isinstance(config.family, CodedConfig)
        assert config.family.codes.warmup > 0
        return {0: 250.0, config.family.codes.warmup: 125.0}.get(at, 100.0)

    monkeypatch.setattr("ganvas.auto.choose.pace", pace)
    choice = choose(packed, settings=["family.comparison.in_turn=20000"], overrides={"train.budget": "10m"}, quiet=True)
    assert isinstance(choice.config.family, CodedConfig)
    warm = choice.config.family.codes.warmup
    assert warm == pytest.approx(choice.pictures_shown / 2, abs=2)  # half of the pictures of a short run
    assert warm / 250 + 20_000 / 125 + (choice.pictures_shown - warm - 20_000) / 100 == pytest.approx(0.9 * 600, rel=1e-3)
    assert f"{warm:,} of them by their pixels, 2.5 times as fast" in choice.summary()


def test_changes_of_pictures_are_chosen_unless_asked_for(packed: Path) -> None:
    for settings, expected in (
        ([], rules.OFTEN[True] * 80 * 2),
        (["family.codes.augment={after: 7}"], 7),
        (["family.codes.augment=null"], None),
    ):
        family = choose(packed, settings=settings, overrides={"train.images": 20_000}, quiet=True).config.family
        assert isinstance(family, CodedConfig)
        assert (None if family.codes.augment is None else family.codes.augment.after) == expected


def test_a_setting_that_does_not_exist_is_told(packed: Path) -> None:
    with pytest.raises(UsageError, match="--set"):
        choose(packed, settings=["famly.generator.width=8"], quiet=True)


def test_training_without_a_recipe(ganvas: Callable[..., Any], packed: Path, tmp_path: Path) -> None:
    done = ganvas("train", "--data", packed, "--images", 64, "--out", tmp_path / "run", "--set", "evaluation=null")
    assert done.status == 0, done.err
    assert "mirroring" in done.err
    run = open_run(tmp_path / "run")
    assert run.config().name == "auto"
    chosen = run.provenance()["auto"]
    assert {"reasons", "pictures_per_second", "expectation"} <= set(chosen)
    assert chosen["reasons"][0]["because"]
    assert "mirroring" in run.report_file.read_text()
    taken = ganvas("train", "--data", packed, "--out", tmp_path / "run")
    assert taken.status == 1
    assert "holds a run already" in taken.err
    assert "measured" not in taken.err
    again = ganvas("train", "--resume", tmp_path / "run", "--images", 128)
    assert again.status == 0, again.err


def test_dry_run_says_the_choice_and_trains_nothing(
    ganvas: Callable[..., Any], packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ganvas("train", "auto", "--data", packed, "--budget", "1m", "--dry-run")
    assert done.status == 0, done.err
    assert "recipe    auto" in done.out
    assert "measured" in done.err
    assert not list(tmp_path.iterdir())


def test_without_pictures_it_says_so(ganvas: Callable[..., Any]) -> None:
    done = ganvas("train", "--budget", "1m")
    assert done.status == 2
    assert "--data" in done.err


def test_from_python(packed: Path, tmp_path: Path) -> None:
    choice = package.choose(packed, settings={"train.images": 64, "evaluation": None}, quiet=True)
    run = package.train(choice, out=tmp_path / "run", quiet=True)
    assert run.state == "finished"
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["auto"]["pictures_shown"] == 64
    with pytest.raises(UsageError, match="data"):
        package.train()


# -- What to expect -----------------------------------------------------------------------------------------------

CATS = Tried("photographs of cats", False, 64, 5700, 240.0, "net", ((10_000, 1.0), (100_000, 0.5)), ((10_000, "blots"), (100_000, "cats")))


def test_kid_is_read_off_the_curve() -> None:
    assert CATS.kid(5_000) == (10_000, 1.0)
    assert CATS.kid(1_000_000) == (100_000, 0.5)
    at, kid = CATS.kid(31_623)
    assert (at, round(kid, 3)) == (31_623, 0.75)
    assert (CATS.looked(20_000), CATS.looked(90_000)) == ("blots", "cats")


def test_what_is_known_is_in_order() -> None:
    for known in tried():
        assert list(known.curve) == sorted(known.curve)
        assert list(known.words) == sorted(known.words)
        assert known.curve
        assert known.words
    assert {known.drawn for known in tried()} == {True, False}


def test_the_expectation_is_of_pictures_that_vary_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    emoji = Tried("emoji", True, 64, 3809, 130.0, "net", ((10_000, 2.0),), ((10_000, "shapes"),))
    monkeypatch.setattr("ganvas.auto.expected.tried", lambda: (CATS, emoji))
    assert "photographs of cats" in sentence(Looks(5000, {}, None, 140.0, 0.1), 64, 50_000)
    few = sentence(Looks(200, {}, None, 300.0, 0.7), 128, 50_000)
    assert "emoji" in few
    assert "the most that was tried" in few
    assert "not at 128" in few
    assert "watch for copies" in few
