"""Kernel distance: the squared maximum mean discrepancy with the cubic kernel (Binkowski et al. 2018, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

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
    values = np.zeros(subsets)
    with Progress("KID", subsets, "subsets", quiet=quiet) as progress:
        for index, value in enumerate(one_thread_each(lambda rows: mmd2(x[rows[0]], y[rows[1]]), chosen)):
            values[index] = value
            progress.update()
    return Kid(float(values.mean()), float(values.std()), size)


def mmd2(x: Tensor, y: Tensor, yy: float | None = None) -> float:
    """The unbiased squared MMD of features x (n, d) and y (m, d); slightly below zero where they are alike.

    k(a, b) = (a.b / d + 1)^3 (Binkowski et al. 2018, section 4; Gretton et al. 2012, eq. 3). Kernel values are float32,
    block by block; sums are float64. `yy` is `within(y)`, for who has it already.

    Raises:
        UsageError: a side has fewer than two pictures.
    """
    return within(x) + (within(y) if yy is None else yy) - 2 * _mean(x, y)


def within(x: Tensor) -> float:
    """The mean of k(a, b) over all pairs of different rows of x (n, d)."""
    n = len(x)
    if n < 2:
        raise UsageError(f"a kernel distance needs at least 2 pictures of each kind, not {n}")
    diagonal = (x.double().square().sum(1) / x.shape[1] + 1).pow(3).sum().item()
    return (_mean(x, x) * n * n - diagonal) / (n * (n - 1))


def _mean(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for rows in x.split(_BLOCK):
        for columns in y.split(_BLOCK):
            kernel = torch.mm(rows, columns.T).div_(x.shape[1]).add_(1)
            cubes = kernel.square().mul_(kernel)
            total += cubes.sum(1).sum(dtype=torch.float64).item()
    return total / (len(x) * len(y))
