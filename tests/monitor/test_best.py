"""What scores while training cost: no more than a budget can afford."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import ganvas
from ganvas.config.run import EvaluationConfig
from ganvas.features.lite import LiteFeatures
from ganvas.metrics.reference import Reference
from ganvas.monitor.best import FEWEST, BestCheckpoint
from ganvas.runs import RunFolder
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
