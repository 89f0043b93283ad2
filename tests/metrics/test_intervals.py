from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.metrics.intervals import FOLDS, Interval, bootstrap, jackknife, share


def test_of_a_mean_it_is_what_the_bootstrap_and_the_textbook_say() -> None:
    x = torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 10
    (found,) = bootstrap([float(x.mean())], (x - x.mean())[:, None])
    half = 1.96 * float(x.std()) / np.sqrt(500)
    assert (found.low, found.high) == pytest.approx((float(x.mean()) - half, float(x.mean()) + half), abs=0.1 * half)
    draw = np.random.default_rng(0)
    means = [x.numpy()[draw.integers(0, 500, 500)].mean() for _ in range(1000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.15 * half)


def test_a_sample_stands_for_all_pictures() -> None:
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(1))
    (few,), (all_of_them,) = bootstrap([0.0], x - x.mean()), bootstrap([0.0], x - x.mean(), n=40_000)
    assert few.high / all_of_them.high == pytest.approx(10)


def test_it_is_the_same_each_time() -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(2))
    assert bootstrap([0.0, 1.0], x) == bootstrap([0.0, 1.0], x)


def test_the_jackknife_of_a_mean_is_the_textbooks() -> None:
    x = torch.randn(4000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    folds = torch.arange(4000) % FOLDS
    without = torch.stack([x[folds != fold].mean() for fold in range(FOLDS)])
    found = jackknife(float(x.mean()), without)
    assert (found.high - found.low) / 2 == pytest.approx(2.093 / np.sqrt(4000), rel=0.4)
    assert (found.high + found.low) / 2 == pytest.approx(float(x.mean()))


def test_shares_near_their_ends_keep_an_interval() -> None:
    """Wilson's intervals of the tables (Newcombe 1998, table I)."""
    assert (share(81 / 263, 263).low, share(81 / 263, 263).high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert (share(0, 20).low, share(0, 20).high) == pytest.approx((0, 0.1611), abs=1e-4)
    assert (share(1 / 29, 29).low, share(1 / 29, 29).high) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_intervals_are_cut_and_widened() -> None:
    assert Interval(-0.5, 1.5).within(0, 1) == Interval(0, 1)
    widened = Interval(0.3, 0.3).at_least(0.3, 0.1)
    assert (widened.low, widened.high) == pytest.approx((0.2, 0.4))
