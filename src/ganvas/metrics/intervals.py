"""How far a score may be off by chance: 95% intervals over the generated pictures, the real ones taken as given.

Plain resampling does not suit these scores. A resample repeats pictures, and so has fewer different ones: a Frechet
distance is then too large by about its bias once more, and recall and coverage are too small. It would also take a
thousand evaluations. Instead, the bootstrap is of the score's linear part, which is cheap and needs each picture once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ganvas.rng import seed_of

CONFIDENCE = 0.95
RESAMPLES = 1_000
FOLDS = 20
"""Of the jackknife."""
_T = 2.093  # 97.5% of Student's t with FOLDS - 1 degrees of freedom
_CHUNK = 2**21


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`: evaluations of as many other pictures of the generator lie around the middle of such."""

    low: float
    high: float

    def within(self, least: float = -math.inf, most: float = math.inf) -> Interval:
        """Cut to the values that the score can have."""
        return Interval(min(max(self.low, least), most), max(min(self.high, most), least))

    def at_least(self, value: float, step: float) -> Interval:
        """Widened to a step on both sides of the value: a share of n pictures can't be known better than to 1 / n."""
        return Interval(min(self.low, value - step), max(self.high, value + step))


def bootstrap(values: Sequence[float], influence: Tensor, n: int | None = None) -> list[Interval]:
    """Percentile intervals of scores whose linear parts are `influence`.

    A score t of pictures x_1 ... x_n moves as t(w) = t + sum_i (w_i - 1) IF(x_i) / n when picture i counts w_i times (Efron
    1982, chapter 6, the infinitesimal jackknife). The weights are drawn as the bootstrap draws them, n of n with
    replacement, by a fixed seed. What is left out is of order 1/n.

    Args:
        values: of s scores.
        influence: (m, s), IF(x_i) of each score, with mean zero, for m pictures, all or a fair sample of them.
        n: pictures that the scores are of; None: m.
    """
    m = len(influence)
    moved = _counts(m) @ influence.to(torch.float64) / m * math.sqrt(m / (n or m))
    tail = (1 - CONFIDENCE) / 2
    low, high = torch.quantile(moved, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    return [Interval(value + a, value + b) for value, a, b in zip(values, low.tolist(), high.tolist(), strict=True)]


@lru_cache(maxsize=4)
def _counts(m: int) -> Tensor:
    """(RESAMPLES, m) float64, small enough to be kept for the next score of as many: how often a resample has a picture."""
    draw = np.random.Generator(np.random.Philox(seed_of("bootstrap", m)))
    counts = torch.empty(RESAMPLES, m, dtype=torch.float64)
    step = max(1, _CHUNK // m)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        chosen = draw.integers(0, m, (rows, m)) + np.arange(rows)[:, None] * m
        counts[start : start + rows] = torch.from_numpy(np.bincount(chosen.ravel(), minlength=rows * m).reshape(rows, m))
    return counts


def share(value: float, n: int) -> Interval:
    """Of a share of n pictures that are each in or out: Wilson's (1927, eq. 1), which holds near 0 and 1, too."""
    z = 1.96
    middle, spread = value + z**2 / (2 * n), z * math.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    return Interval((middle - spread) / (1 + z**2 / n), (middle + spread) / (1 + z**2 / n))


def jackknife(value: float, without: Tensor) -> Interval:
    """The interval of a score from its values (FOLDS,) with each fold of the pictures left out in turn.

    Variance (g - 1) / g sum_j (t_j - mean t)^2, which is consistent for scores that are not smooth, too, where a fold holds
    many pictures (Shao and Wu 1989), and on average no smaller than the truth (Efron and Stein 1981).
    """
    without = without.double()
    deviation = _T * math.sqrt((len(without) - 1) * float(without.var(correction=0)))
    return Interval(value - deviation, value + deviation)
