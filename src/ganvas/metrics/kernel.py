"""Kernel distance: the squared maximum mean discrepancy with the cubic kernel (Binkowski et al. 2018, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.parallel import one_thread_each
from ganvas.progress import Progress

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020
_BLOCK = 2048


@dataclass(frozen=True)
class Kid:
    """Mean and standard deviation over the subsets, and how many pictures a subset has of each side."""

    value: float
    std: float
    subset_size: int
    influence: Tensor = field(compare=False, repr=False)
    """(n,) of the generated pictures, with mean zero; see `mmd2_influence`. Zero for one that no subset drew."""


def kid(
    x: Tensor,
    y: Tensor,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = SEED,
    quiet: bool = True,
) -> Kid:
    """KID of features x (n, d), generated, and y (m, d), real: the mean of `mmd2` over random subsets.

    The subsets are those that torch-fidelity draws with the same seed. Where a side has fewer pictures than a subset,
    subsets are as large as that side.

    Raises:
        UsageError: a side has fewer than two pictures.
    """
    size = min(subset_size, len(x), len(y))
    draw = np.random.RandomState(seed)
    chosen = [tuple(torch.from_numpy(draw.choice(len(side), size, replace=False)) for side in (x, y)) for _ in range(subsets)]
    values, influence = np.zeros(subsets), torch.zeros(len(x), dtype=torch.float64)
    with Progress("KID", subsets, "subsets", quiet=quiet) as progress:
        done = one_thread_each(lambda rows: mmd2_influence(x[rows[0]], y[rows[1]]), chosen)
        for index, ((rows, _), (value, part)) in enumerate(zip(chosen, done, strict=True)):
            values[index] = value
            influence[rows] += part * (len(x) / (size * subsets))
            progress.update()
    return Kid(float(values.mean()), float(values.std()), size, influence - influence.mean())


def mmd2(x: Tensor, y: Tensor, yy: float | None = None) -> float:
    """The unbiased squared MMD of features x (n, d) and y (m, d); slightly below zero where they are alike.

    k(a, b) = (a.b / d + 1)^3 (Binkowski et al. 2018, section 4; Gretton et al. 2012, eq. 3). Kernel values are float32,
    block by block; sums are float64. `yy` is `within(y)`, for who has it already.

    Raises:
        UsageError: a side has fewer than two pictures.
    """
    return within(x) + (within(y) if yy is None else yy) - 2 * float(_sums(x, y).sum()) / (len(x) * len(y))


def mmd2_influence(x: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """`mmd2`, and what each row of x adds to it: (n,) 2 (mean_j k(x_i, x_j) - mean_j k(x_i, y_j)), less the mean.

    The first term of the U-statistic's decomposition (Hoeffding 1948; Serfling 1980, section 5.3). Where the sides are
    alike, that term vanishes and what is left is the noise of the means, whose square is no smaller than the second term's.
    """
    n = len(x)
    if n < 2:
        raise UsageError(_few(n))
    near, far = (_sums(x, x) - _diagonal(x)) / (n - 1), _sums(x, y) / len(y)
    moved = 2 * (near - far)
    return float(near.mean()) + within(y) - 2 * float(far.mean()), moved - moved.mean()


def within(x: Tensor) -> float:
    """The mean of k(a, b) over all pairs of different rows of x (n, d)."""
    n = len(x)
    if n < 2:
        raise UsageError(_few(n))
    return float((_sums(x, x) - _diagonal(x)).sum()) / (n * (n - 1))


def _few(n: int) -> str:
    return f"a kernel distance needs at least 2 pictures of each kind, not {n}"


def _diagonal(x: Tensor) -> Tensor:
    """(n,): k(a, a) of each row."""
    return (x.double().square().sum(1) / x.shape[1] + 1).pow(3)


def _sums(x: Tensor, y: Tensor) -> Tensor:
    """(n,) float64: the sum of k(x_i, y_j) over all rows of y."""
    found = []
    for rows in x.split(_BLOCK):
        total = torch.zeros(len(rows), dtype=torch.float64)
        for columns in y.split(_BLOCK):
            kernel = torch.mm(rows, columns.T).div_(x.shape[1]).add_(1)
            total += kernel.square().mul_(kernel).sum(1)
        found.append(total)
    return torch.cat(found)
