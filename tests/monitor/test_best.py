"""What scores while training cost: no more than a budget can afford."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import ganvas
from ganvas.config.run import EvaluationConfig
from ganvas.errors import RunError
from ganvas.features.lite import LiteFeatures
from ganvas.metrics.copy_watch import WatchedCopies
from ganvas.metrics.reference import Reference
from ganvas.monitor.best import FEWEST, BestCheckpoint
from ganvas.runs import RunFolder
from ganvas.training import checkpoint
from ganvas.training.hooks import Moment
from small import config, disks


def best(budget: float | None, each: float, **settings: Any) -> BestCheckpoint:
    # Neither is asked for anything before the first evaluation.
    return BestCheckpoint(
        EvaluationConfig(**settings),
        object.__new__(LiteFeatures),
        object.__new__(Reference),
        seed=0,
        device=torch.device("cpu"),
        precision="fp32",
        weights=None,
        budget=budget,
        seconds_per_picture=each,
    )


def evaluations(hook: BestCheckpoint, total: int) -> int:
    """How many a run of `total` pictures has, the one at its end included."""
    return hook.remaining(0, total) + 1


@pytest.mark.parametrize(
    ("budget", "each", "cost", "times"),
    [
        (600.0, 0.0015, 3.0, 10),  # 36 s for evaluations: all ten, of 2,000 pictures each
        (42.0, 0.0075, FEWEST * 0.0075, 1),  # 2.5 s: the fewest pictures, once
        (64.0, 0.00375, 1024 * 0.00375, 1),  # 3.84 s: one of 1,024 pictures
        (None, 0.0075, 15.0, 10),  # as long as it takes
    ],
)
def test_a_budget_gets_the_evaluations_that_it_can_afford(budget: float | None, each: float, cost: float, times: int) -> None:
    hook = best(budget, each, samples=2000)
    assert hook.cost() == pytest.approx(cost)
    assert evaluations(hook, 100_000) == times


def test_fewer_samples_than_the_fewest_stay_as_they_were_asked_for() -> None:
    assert best(42.0, 0.0075, samples=100).cost() == pytest.approx(0.75)


def test_a_resumed_run_scores_as_many_pictures_as_before() -> None:
    before, after = best(42.0, 0.0075, samples=2000), best(42.0, 0.0005, samples=2000)
    after.load_state_dict(before.state_dict())
    assert after.state_dict()["samples"] == FEWEST


@pytest.mark.parametrize(("count", "looked"), [(160, True), (80, False)])
def test_near_copies_are_looked_for_where_there_are_enough_pictures_to_tell(count: int, looked: bool, tmp_path: Path) -> None:
    made = config("dcgan32", disks(tmp_path / "disks", count=count), train__images=32, evaluation={"samples": 128})
    ganvas.train(made, out=tmp_path / "run", quiet=True)
    lines = RunFolder(tmp_path / "run").evaluations()
    assert lines
    for line in lines:
        assert ("near_copies" in line) is looked
        if looked:
            assert 0 <= line["near_copies"] <= 1
            assert 0 < line["near_copies_usual"] <= 1


NEW, COPIED = WatchedCopies(0.1, 0.2), WatchedCopies(0.3, 0.2)
Look = tuple[float, WatchedCopies | None]


def look(hook: BestCheckpoint, folder: RunFolder, images: int, kid: float, copies: WatchedCopies | None) -> None:
    """What an evaluation after so many pictures keeps."""

    def save(name: str) -> None:
        checkpoint.save(folder.checkpoints / name, {}, {}, {"images": images})

    def unused(*_: Any) -> Any:
        raise AssertionError("keeping draws nothing and says nothing")

    hook._keep(Moment(folder, images, None, 0.0, False, unused, unused, save, unused, unused), kid, copies)


def kept(folder: RunFolder) -> dict[str, int]:
    """After how many pictures each checkpoint was made."""
    return {name: checkpoint.Checkpoint(folder.checkpoints / name).images for name in folder.checkpoint_names()}


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(5, NEW), (4, NEW)], {"best": 2}),
        ([(5, NEW), (4, COPIED)], {"best": 2, "fresh": 1}),
        ([(5, NEW), (4, COPIED), (3, COPIED)], {"best": 3, "fresh": 1}),
        ([(5, NEW), (4, COPIED), (4.5, NEW)], {"best": 2, "fresh": 3}),
        ([(5, NEW), (4, COPIED), (6, NEW)], {"best": 2, "fresh": 1}),
        ([(5, NEW), (4, COPIED), (3, NEW)], {"best": 3}),
        ([(5, NEW), (4, COPIED), (3, NEW), (2, COPIED)], {"best": 4, "fresh": 3}),
        ([(5, COPIED), (4, COPIED)], {"best": 2}),
        ([(5, None), (4, None)], {"best": 2}),
    ],
)
def test_what_was_best_before_it_copied_is_kept_also_by_a_run_that_was_killed(
    looks: list[Look], expected: dict[str, int], tmp_path: Path
) -> None:
    for stopped in range(len(looks) + 1):
        folder = RunFolder(tmp_path / str(stopped))
        hook, state = best(None, 0.01), best(None, 0.01).state_dict()
        for images, (kid, copies) in enumerate(looks, 1):
            look(hook, folder, images, kid, copies)
            state = hook.state_dict() if images == stopped else state
        assert kept(folder) == expected
        # Killed at the end, and resumed from a checkpoint that was saved after `stopped` looks.
        again = best(None, 0.01)
        again.load_state_dict(state)
        for images, (kid, copies) in list(enumerate(looks, 1))[stopped:]:
            look(again, folder, images, kid, copies)
        assert kept(folder) == expected
        assert again.state_dict() == hook.state_dict()


def test_a_best_checkpoint_that_somebody_removed_stops_no_run(tmp_path: Path) -> None:
    folder, hook = RunFolder(tmp_path), best(None, 0.01)
    look(hook, folder, 1, 5.0, NEW)
    shutil.rmtree(folder.checkpoints / "best")
    look(hook, folder, 2, 4.0, COPIED)
    assert kept(folder) == {"best": 2}


def test_fresh_is_a_checkpoint_where_there_is_one(tmp_path: Path) -> None:
    ganvas.train(config("dcgan32", disks(tmp_path / "disks"), train__images=32), out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="leave out --checkpoint"):
        ganvas.load(tmp_path / "run", checkpoint="fresh")
    folder = RunFolder(tmp_path / "run")
    checkpoint.duplicate(folder.checkpoints / "last", folder.checkpoints / "fresh")
    assert ganvas.load(tmp_path / "run", checkpoint="fresh").checkpoint_name == "fresh"
    longer = ganvas.resume(tmp_path / "run", images=64, quiet=True)
    assert "not so after 32 pictures: --checkpoint fresh" in longer.message
