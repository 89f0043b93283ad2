"""What a batch of pictures looks like beside real ones: identities and known answers."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.metrics.signals import look, over_grids, signals


def colours(seed: int = 0, n: int = 64) -> np.ndarray:
    """Pictures of plain colours, 16 by 16."""
    drawn = np.random.default_rng(seed).integers(0, 256, (n, 1, 1, 3))
    return np.broadcast_to(drawn, (n, 16, 16, 3)).astype(np.uint8)


def scenes(seed: int = 0, n: int = 64) -> np.ndarray:
    """Pictures of four by four plain squares."""
    drawn = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3)).astype(np.uint8)
    return drawn.repeat(4, 1).repeat(4, 2)


def test_real_pictures_beside_themselves_are_all_as_usual() -> None:
    real = look(scenes())
    found = signals(real, real, real.rows)
    assert (found.variety, found.detail, found.roughness, found.dimensions, found.nearest) == pytest.approx((1, 1, 1, 1, 1))
    assert (found.twins, found.change, found.offset, found.saturated) == (0, 0, 0, 0)


def test_one_picture_many_times_has_no_variety_and_only_twins() -> None:
    found = signals(look(np.repeat(scenes(n=1), 64, 0)), look(scenes(1)), None)
    assert found.variety == pytest.approx(0, abs=1e-6)
    assert found.twins == 1
    assert found.change is None


def test_one_picture_in_several_shades_differs_in_one_direction() -> None:
    shades = np.linspace(0.1, 1, 64)[:, None, None, None]
    found = signals(look((scenes(n=1) * shades).astype(np.uint8)), look(scenes(1)), None)
    assert look((scenes(n=1) * shades).astype(np.uint8)).dimensions == pytest.approx(1, abs=0.01)
    assert found.dimensions < 0.1


def test_few_kinds_in_many_shades_have_no_twins_and_are_near_to_one_another() -> None:
    kinds, shades = scenes(n=8).repeat(8, 0), np.random.default_rng(1).normal(0, 30, (64, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    found = signals(look((kinds + shades).clip(0, 255).astype(np.uint8)), look(scenes(1)), None)
    assert found.twins == 0
    assert found.variety > 0.8
    assert found.nearest < 0.55


def test_directions_of_independent_values_are_as_many_as_values() -> None:
    # 3 colours, equally strong and independent: three directions, but for the few pictures.
    assert look(colours(n=2000)).dimensions == pytest.approx(3, rel=0.02)


def test_plain_pictures_have_no_detail_and_noise_is_rough() -> None:
    real = look(scenes())
    assert signals(look(colours()), real, None).detail == pytest.approx(0, abs=1e-6)
    noise = np.random.default_rng(1).integers(0, 256, (64, 16, 16, 3)).astype(np.uint8)
    # Squares of four pixels: a quarter of the neighbours (3 of 15) differ, in noise all of them do.
    assert signals(look(noise), real, None).roughness == pytest.approx(15 / 3, rel=0.05)


def test_saturated_is_the_share_at_the_ends_beyond_real_ones() -> None:
    real = np.full((4, 16, 16, 3), 128, np.uint8)
    real[:, :4] = 255
    made = np.full((4, 16, 16, 3), 128, np.uint8)
    made[:, :8], made[:, 8:12] = 0, 253
    assert signals(look(made), look(real), None).saturated == pytest.approx(0.75 - 0.25)


def test_change_of_all_to_others_is_the_usual_difference() -> None:
    real = look(scenes(n=256))
    found = signals(look(scenes(1)), real, look(scenes(2)).rows)
    assert found.change == pytest.approx(1, abs=0.05)


def test_grids_give_the_same_numbers_under_names_of_their_own() -> None:
    first, second = over_grids([(10, scenes(1)), (20, scenes(2))], scenes(3))
    assert "grid_change" not in first
    expected = signals(look(scenes(2)), look(scenes(3)), look(scenes(1)).rows).to_json()
    assert second == {"images": 20, **{f"grid_{name}": value for name, value in expected.items()}}
