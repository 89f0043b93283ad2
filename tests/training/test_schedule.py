"""Learning rates over a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ganvas.config import PlateauSchedule, ScheduleConfig, StepSchedule, io
from ganvas.errors import UsageError
from ganvas.training.schedule import build_schedule


def factors(config: Any, total: int = 100, every: int = 10) -> list[float]:
    schedule = build_schedule(config)
    return [schedule.factor(images, total) for images in range(0, total + 1, every)]


def test_constant_linear_cosine() -> None:
    assert factors(ScheduleConfig()) == [1.0] * 11
    assert factors(ScheduleConfig(kind="linear")) == pytest.approx([1 - i / 10 for i in range(11)])
    assert factors(ScheduleConfig(kind="cosine")) == pytest.approx([(1 + math.cos(math.pi * i / 10)) / 2 for i in range(11)])
    late = ScheduleConfig(kind="linear", start=0.5, final=0.2)
    assert factors(late, every=25) == pytest.approx([1, 1, 1, 0.6, 0.2])


def test_a_rate_can_have_fallen_before_the_end() -> None:
    early = ScheduleConfig(kind="linear", start=0.2, end=0.6, final=0.25)
    assert factors(early, every=20) == pytest.approx([1, 1, 0.625, 0.25, 0.25, 0.25])
    with pytest.raises(UsageError, match="must be below end"):
        io.load("dcgan32", (), {"schedule": {"kind": "cosine", "start": 0.5, "end": 0.5}})


def test_what_moves_along_knows_how_far_the_rate_has_come() -> None:
    cosine = build_schedule(ScheduleConfig(kind="cosine", end=0.5, final=0.25))
    assert [cosine.annealed(i, 100) for i in (0, 25, 50, 100)] == pytest.approx([0, 0.5, 1, 1])
    assert cosine.annealed(10, None) == 0
    for other in (ScheduleConfig(), StepSchedule(), PlateauSchedule()):
        assert build_schedule(other).annealed(90, 100) == 0


def test_warmup_rises_with_any() -> None:
    for config in (ScheduleConfig(warmup_images=50), StepSchedule(warmup_images=50, steps=1), PlateauSchedule(warmup_images=50)):
        assert factors(config)[:2] == pytest.approx([0.02, 0.22])
        assert factors(config)[5:] == [1.0] * 6


def test_steps_fall_evenly() -> None:
    assert factors(StepSchedule(steps=5, gamma=0.5)) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, 0.0625]
    # Without a total yet (a budget's first steps), as at the start.
    assert build_schedule(StepSchedule()).factor(10_000, None) == 1


def test_the_dogs_rate_falls_two_hundred_times() -> None:
    schedule = build_schedule(io.recipe("dogs-improved").schedule)
    rates = [schedule.factor(i, 10_000) for i in range(10_000)]
    assert len(set(rates)) == 200
    assert rates[49] == 1
    assert rates[50] == pytest.approx(0.99)


def test_a_plateau_falls_after_evaluations_that_are_no_better() -> None:
    schedule = build_schedule(PlateauSchedule(patience=2, gamma=0.5, threshold=0.1, minimum=0.2))
    seen = []
    for kid in (1.0, 0.95, 0.8, 0.79, 0.78, 0.77, 0.76, 0.75, 0.75, 0.1, 0.1, 0.1):
        schedule.observe(kid)
        seen.append(schedule.factor(0, None))
    # 0.95 is no tenth better than 1, 0.8 is; then two waits each; the fourth fall stops at the minimum.
    assert seen == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]


def test_a_kid_below_zero_gets_better_downwards() -> None:
    schedule = build_schedule(PlateauSchedule(patience=1, threshold=0.1))
    for kid in (-0.1, -0.2):
        schedule.observe(kid)
    assert schedule.factor(0, None) == 1
    schedule.observe(-0.19)
    assert schedule.factor(0, None) == 0.5


def test_a_plateau_remembers() -> None:
    first, second = (build_schedule(PlateauSchedule(patience=2)) for _ in range(2))
    for kid in (1.0, 1.0, 1.0, 1.0):
        first.observe(kid)
    second.load_state_dict(first.state_dict())
    for schedule in (first, second):
        schedule.observe(1.0)
    assert first.factor(0, None) == second.factor(0, None) == 0.25


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["schedule.kind=plateau", "evaluation=null"], "listens to the KID"),
        (["schedule.kind=plateau", "train={budget: 10m}"], "set evaluation.every"),
        (["schedule={kind: step, final: 0}"], '"schedule.final" is no key'),
    ],
)
def test_schedules_that_can_not_be(settings: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        io.load("dcgan32", settings)
