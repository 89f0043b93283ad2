"""The Frechet distance between two Gaussians: of all pictures, and extrapolated to infinitely many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.metrics.moments import Moments

PARTS = (1, 2, 3)
"""FD-infinity is fitted to the distances of all pictures, of their halves and of their thirds."""
FOLDS = 6
"""Pieces that halves and thirds can be merged of."""
LEAST_PER_DIM = 4
"""FD-infinity is extrapolated from so many pictures for each feature on: below, the distance is not linear in 1/n."""
_ROWS = 2048


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982, eq. 4; Heusel et al. 2017, eq. 6).

    Never below zero; see `Frechet`.

    Raises:
        UsageError: the moments are of different features, or of fewer than two pictures.
    """
    return Frechet(a.mean, _factor(a)).distance(b)


def _factor(moments: Moments) -> Tensor:
    """(d, r): H with H H^T = the covariance."""
    values, vectors = torch.linalg.eigh(moments.cov)
    return vectors * values.clamp(min=0).sqrt()


class Frechet:
    """Distances to one real distribution, whose covariance A = H H^T is decomposed once.

    The eigenvalues of A B are those of the symmetric H^T B H, which float64 finds several times faster and to more digits
    than a root of the product, also where there are fewer pictures than features.
    """

    def __init__(self, mean: Tensor, factor: Tensor):
        """`mean` (d,) and `factor` H (d, r), in float64."""
        self.mean, self._factor = mean, factor
        self._trace = factor.square().sum()

    @classmethod
    def to(cls, real: Moments) -> Frechet:
        """Distances to these moments."""
        return cls(real.mean, _factor(real))

    @classmethod
    def to_rows(cls, features: Tensor) -> Frechet:
        """Distances to the moments of features (m, d). No decomposition where there are fewer pictures than features."""
        if len(features) > features.shape[1]:
            return cls.to(Moments.of(features))
        rows = features.double()
        mean = rows.mean(0)
        return cls(mean, (rows - mean).T / _degrees(len(rows)) ** 0.5)

    def distance(self, fake: Moments) -> float:
        """The distance of these moments."""
        overlap = torch.linalg.eigvalsh(self._product(fake)).clamp(min=0).sqrt().sum()
        return self._distance(fake.mean, fake.cov.trace(), overlap)

    def with_influence(self, fake: Moments, rows: Tensor) -> tuple[float, Tensor]:
        """The distance, and (n,) what each of the features (n, d), all that `fake` counted or a fair sample, adds to it.

        That is the derivative when a picture x counts more: 2 (mu - mu_r).z + z^T (1 - T) z with z = x - mu, less its mean,
        where T = A^(1/2) (A^(1/2) B A^(1/2))^(-1/2) A^(1/2) is the optimal transport (d tr (A B)^(1/2) = tr(T dB) / 2).
        """
        values, vectors = torch.linalg.eigh(self._product(fake))
        distance = self._distance(fake.mean, fake.cov.trace(), values.clamp(min=0).sqrt().sum())
        kept = values > values[-1] * len(values) * 10 * torch.finfo(torch.float64).eps
        transport = self._factor @ vectors[:, kept] * values[kept].pow(-0.25)
        found = []
        for part in rows.split(_ROWS):
            centred = part.double() - fake.mean
            found.append(2 * centred @ (fake.mean - self.mean) + centred.square().sum(1) - (centred @ transport).square().sum(1))
        influence = torch.cat(found)
        return distance, influence - influence.mean()

    def of_rows(self, features: Tensor) -> tuple[float, Tensor]:
        """The distance of features (n, d), and each one's influence (n,), as `with_influence` has it.

        Of few pictures by a smaller matrix: with rows Y, Y^T Y = B, and Y H = U S V^T, tr (A B)^(1/2) is tr S, and
        y_i^T T y_i is sum_k U_ik^2 S_k.
        """
        n = len(features)
        if n > features.shape[1]:
            return self.with_influence(Moments.of(features), features)
        rows = features.double()
        mean = rows.mean(0)
        centred = rows - mean
        crossing = centred @ self._factor
        values, vectors = torch.linalg.eigh(crossing @ crossing.T / _degrees(n))
        singular = values.clamp(min=0).sqrt()
        squares = centred.square().sum(1)
        distance = self._distance(mean, squares.sum() / (n - 1), singular.sum())
        influence = 2 * centred @ (mean - self.mean) + squares - (n - 1) * vectors.square() @ singular
        return distance, influence - influence.mean()

    def _product(self, fake: Moments) -> Tensor:
        if fake.dim != len(self.mean):
            raise UsageError(f"features of {len(self.mean)} and of {fake.dim} numbers have no distance: both sides need the same features")
        return self._factor.T @ fake.cov @ self._factor

    def _distance(self, mean: Tensor, trace: Tensor, overlap: Tensor) -> float:
        return max(float((mean - self.mean).square().sum() + self._trace + trace - 2 * overlap), 0.0)


def _degrees(n: int) -> int:
    if n < 2:
        raise UsageError(f"a covariance needs at least 2 pictures, not {n}")
    return n - 1


# -- Infinitely many ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extrapolation:
    """FD-infinity, and the (pictures, mean distance) that it was fitted to."""

    value: float
    points: tuple[tuple[int, float], ...]


def fd_infinity(real: Frechet, folds: Sequence[Moments], whole: float | None = None) -> Extrapolation:
    """The Frechet distance of infinitely many pictures: the intercept of FD over 1/N (Chong and Forsyth 2020, section 3.1).

    They draw a random subset for each N. Here each N has all pictures, in two halves and in three thirds, and the mean of
    their distances: to first order these means move with the pictures as the distance of all does, so that the line's
    intercept is about as sure as FD itself, and FD's influence gives its interval. The real side stays as it is.

    Args:
        real: the real distribution.
        folds: moments of FOLDS equal random parts of the generated pictures.
        whole: the distance of all of them, where it is known.
    """
    points = []
    for parts in PARTS:
        sizes, distances = [], []
        for start in range(parts):
            moments = Moments.empty(folds[0].dim)
            for fold in folds[start::parts]:
                moments.merge(fold)
            sizes.append(moments.n)
            distances.append(whole if parts == 1 and whole is not None else real.distance(moments))
        points.append((sum(sizes) / parts, sum(distances) / parts))
    inverse = torch.tensor([1 / n for n, _ in points], dtype=torch.float64)
    values = torch.tensor([value for _, value in points], dtype=torch.float64)
    centred = inverse - inverse.mean()
    slope = (centred * values).sum() / centred.square().sum()
    return Extrapolation(float(values.mean() - slope * inverse.mean()), tuple((round(n), value) for n, value in points))
