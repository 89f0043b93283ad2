"""Each rule of a choice on made-up facts."""

from __future__ import annotations

import pytest

from ganvas.auto import rules
from ganvas.auto.pictures import Looks, Sizes
from ganvas.auto.rules import Length, Paces
from ganvas.config import io

HALF_HOUR = Length("30m", 1800.0, None)


def seen(pictures: int = 5000, counts: dict[str, int] | None = None, handedness: float | None = 0.5, flatness: float = 0.1) -> Looks:
    """What there is to see in made-up pictures."""
    return Looks(pictures, counts or {}, handedness, 200.0, flatness)


@pytest.mark.parametrize(
    ("side", "most", "expected"),
    [
        (500, None, (128, 64, 32)),
        (96, None, (128, 64, 32)),
        (95, None, (64, 32)),
        (72, None, (64, 32)),
        (48, None, (64, 32)),
        (32, None, (32,)),
        (10, None, (32,)),
        (500, 64, (64, 32)),
        (500, 100, (64, 32)),
        (500, 20, (16,)),
    ],
)
def test_resolutions_follow_from_the_pictures(side: int, most: int | None, expected: tuple[int, ...]) -> None:
    assert rules.resolutions(Sizes(side, most)) == expected


@pytest.mark.parametrize(("at_64", "at_128", "expected"), [(100, 30, 64), (1000, 300, 128), (1000, 200, 64)])
def test_a_machine_that_is_fast_enough_gets_larger_pictures(at_64: float, at_128: float, expected: int) -> None:
    found, reason = rules.resolution(Sizes(400, None), HALF_HOUR, {64: at_64, 128: at_128}.__getitem__)
    assert found == expected
    assert "400 pixels" in reason.because


def test_a_slow_machine_is_not_measured_at_128() -> None:
    asked: list[int] = []

    def rate(resolution: int) -> float:
        asked.append(resolution)
        return 50.0

    assert rules.resolution(Sizes(400, None), HALF_HOUR, rate)[0] == 64
    assert asked == [64]


def test_small_pictures_are_not_enlarged_and_nothing_is_measured() -> None:
    def rate(_: int) -> float:
        raise AssertionError

    assert rules.resolution(Sizes(32, 32), HALF_HOUR, rate)[0] == 32


@pytest.mark.parametrize(
    ("counts", "learnt"),
    [({}, False), ({"cat": 5000}, False), ({"cat": 50, "dog": 50}, True), ({"a": 3, "b": 4, "c": 5000}, False)],
)
def test_labels_are_learnt_where_classes_have_pictures(counts: dict[str, int], learnt: bool) -> None:
    assert rules.labels(seen(counts=counts))[0] is learnt


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize(
    ("flatness", "side", "expected"),
    [
        (0.1, 64, "codes64"),
        (0.1, 16, "codes32"),
        (0.1, 128, "codes128"),
        (0.1, 256, "codes128"),
        (0.7, 64, "codes64-drawings"),
        (0.7, 128, "codes64-drawings"),
    ],
)
def test_photographs_get_the_recipe_of_their_size_and_drawings_another(
    flatness: float, side: int, expected: str, conditional: bool
) -> None:
    recipe, keys, reason = rules.networks(seen(flatness=flatness), side, conditional)
    assert recipe == reason.chosen == expected
    assert ("drawings" if flatness > 0.5 else "photographs") in reason.because
    config = io.load(recipe, overrides=keys)
    assert config.family.conditional is conditional


@pytest.mark.parametrize(("handedness", "flip"), [(None, True), (0.5, True), (0.59, True), (0.61, False), (0.95, False)])
def test_pictures_with_a_left_and_a_right_are_not_mirrored(handedness: float | None, flip: bool) -> None:
    assert rules.mirroring(seen(handedness=handedness))[0] == {"augment.flip": flip}


def test_a_batch_is_no_larger_than_the_pictures() -> None:
    assert rules.batch(seen(pictures=20))[0] == {"train.batch": 20}
    assert rules.batch(seen(pictures=20_000))[0] == {"train.batch": rules.BATCH}


def test_a_short_run_has_a_short_average() -> None:
    assert rules.average(1_000_000)[0] == {"ema.halflife_images": rules.EMA}
    assert rules.average(60_000)[0] == {"ema.halflife_images": 3000}


@pytest.mark.parametrize(
    ("flatness", "mirrored", "after", "hues"), [(0.1, False, 8_000, False), (0.1, True, 16_000, False), (0.7, False, 12_000, True)]
)
def test_pictures_that_are_shown_often_are_changed(flatness: float, mirrored: bool, after: int, hues: bool) -> None:
    keys, reason = rules.told(seen(pictures=200, flatness=flatness), mirrored, 100_000)
    augment = io.load("codes64", overrides=keys).family.model_dump()["codes"]["augment"]
    assert (augment["after"], "hue" in augment["changes"]) == (after, hues)
    assert reason is not None
    assert f"after {after:,}" in reason.chosen
    # A run that ends before may be trained on.
    assert rules.told(seen(pictures=200, flatness=flatness), mirrored, after) == (keys, None)


def test_a_short_run_looks_at_few_pictures_before_its_first_step() -> None:
    assert rules.looked_at(1_000_000, 2048) == {"family.codes.fitted": 2048}
    assert rules.looked_at(20_000, 2048) == {"family.codes.fitted": 1000}
    assert rules.looked_at(256, 2048) == {"family.codes.fitted": rules.LEAST_LOOKED_AT}


def test_a_run_has_about_as_many_grids_as_its_timeline_holds() -> None:
    for shown in (10_000, 100_000, 5_000_000):
        assert 10 <= shown / rules.grids(shown)["samples.every"] <= 21


PASSES = Length("3 passes", None, lambda count: 3 * count)


def test_lengths_in_time_and_in_pictures() -> None:
    paces = Paces(100.0, 100.0, 100.0)
    assert rules.planned(HALF_HOUR, 5000, paces, 0) == (int(0.9 * 180_000), 0)
    assert rules.planned(PASSES, 5000, paces, 0) == (15_000, 0)
    assert paces.seconds(15_000, 0) == pytest.approx(150)
    assert Paces(300.0, 200.0, 100.0, 4000).seconds(15_000, 6000) == pytest.approx(6000 / 300 + 4000 / 200 + 5000 / 100)


@pytest.mark.parametrize("turns", [0, 30_000, 10**9])
@pytest.mark.parametrize("faster", [1.0, 3.0])
@pytest.mark.parametrize("rate", [0.5, 30.0, 44.0, 200.0])
def test_a_warm_up_is_half_of_a_short_run_and_takes_the_time_that_is_planned(rate: float, faster: float, turns: int) -> None:
    paces = Paces(rate * faster, rate * (1 + faster) / 2, rate, turns)
    total, warm = rules.planned(HALF_HOUR, 5000, paces, 60_000)
    assert 0 < warm <= 60_000
    if warm < 60_000:
        assert warm == pytest.approx(total / 2, abs=2)
    else:
        assert total >= 2 * warm
    assert paces.seconds(total, warm) == pytest.approx(0.9 * 1800, abs=3 / rate)
    assert rules.planned(PASSES, 5000, paces, 60_000) == (15_000, 7_500)
    assert rules.planned(PASSES, 500_000, paces, 60_000) == (1_500_000, 60_000)
