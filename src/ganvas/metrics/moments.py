"""Mean and covariance of features, gathered piece by piece in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganvas.errors import UsageError

_ROWS = 4096


@dataclass
class Moments:
    """How many rows there were, their mean (d,) and the sum of their centred outer products (d, d), in float64.

    Pieces merge exactly (Chan, Golub and LeVeque 1983, eq. 1.5), in any order up to rounding.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("n", "mean", "m2")

    n: int
    mean: Tensor
    m2: Tensor

    @classmethod
    def empty(cls, dim: int) -> Moments:
        """Moments of nothing yet, for features of `dim` numbers."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64))

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Moments of features (n, d)."""
        moments = cls.empty(features.shape[1])
        moments.update(features)
        return moments

    @property
    def dim(self) -> int:
        """Numbers in a row."""
        return len(self.mean)

    @property
    def cov(self) -> Tensor:
        """(d, d): the unbiased covariance.

        Raises:
            UsageError: of fewer than two rows there is none.
        """
        if self.n < 2:
            raise UsageError(f"a covariance needs at least 2 pictures, not {self.n}")
        return self.m2 / (self.n - 1)

    def update(self, features: Tensor) -> None:
        """Count features (n, d) of any floating type in."""
        for part in features.split(_ROWS):
            rows = part.to(torch.float64)
            mean = rows.mean(0)
            rows = rows - mean
            self._add(len(rows), mean, rows.T @ rows)

    def merge(self, other: Moments) -> None:
        """Count in what `other` counted."""
        self._add(other.n, other.mean, other.m2)

    def _add(self, n: int, mean: Tensor, m2: Tensor) -> None:
        if n == 0:
            return
        total = self.n + n
        step = mean - self.mean
        self.m2 = self.m2 + m2 + torch.outer(step, step) * (self.n * n / total)
        self.mean = self.mean + step * (n / total)
        self.n = total

    def to_arrays(self) -> dict[str, np.ndarray]:
        """`n` (int64), `mean` and `m2` (float64), to be kept in a file."""
        return {"n": np.array(self.n, dtype=np.int64), "mean": self.mean.numpy(), "m2": self.m2.numpy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Moments:
        """What `to_arrays` gave.

        Raises:
            KeyError, ValueError: the arrays are not such.
        """
        mean, m2 = (np.array(arrays[key], dtype=np.float64) for key in ("mean", "m2"))
        if mean.ndim != 1 or m2.shape != (len(mean), len(mean)):
            raise ValueError(f"moments of shapes {mean.shape} and {m2.shape}")
        return cls(int(arrays["n"]), torch.from_numpy(mean), torch.from_numpy(m2))
