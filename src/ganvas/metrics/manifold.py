"""Precision and recall by nearest neighbours (Kynkaanniemi et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.parallel import one_thread_each
from ganvas.progress import Progress

NEIGHBOURS = 3
_ROWS, _COLUMNS = 512, 4096
# Below this share of the two squared norms, a squared distance in float32 is rounding: the two are the same picture.
_SAME = 1e-6


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares between 0 and 1."""

    precision: float
    recall: float


def precision_recall(real: Tensor, fake: Tensor, k: int = NEIGHBOURS, *, quiet: bool = True) -> PrecisionRecall:
    """Of features (n, d) and (m, d): the share of fakes inside the real manifold, and of real ones inside the fakes'.

    A manifold is the union of balls around its pictures, each reaching to its k-th neighbour among them (Kynkaanniemi
    et al. 2019, eq. 1 and 2). Exact, block by block: no matrix of all pairs. The shares depend on n and m: compare
    only scores of the same numbers.

    Raises:
        UsageError: a side has k pictures or fewer.
    """
    for side, what in ((real, "real"), (fake, "generated")):
        if len(side) <= k:
            raise UsageError(f"precision and recall with {k} neighbours need more than {k} {what} pictures, not {len(side)}")
    # Distances do not change when the origin moves, but float32 keeps more of their digits around the mean.
    centre = real.double().mean(0)
    real, fake = (real.double() - centre).float(), (fake.double() - centre).float()
    with Progress("neighbours", 2 * (len(real) + len(fake)), quiet=quiet) as progress:
        precision = _inside(fake, real, _radii(real, k, progress), progress)
        recall = _inside(real, fake, _radii(fake, k, progress), progress)
    return PrecisionRecall(precision, recall)


class RealManifold:
    """Balls around real pictures, the larger half of them left out, in which single generated pictures can be placed."""

    def __init__(self, real: Tensor, k: int = NEIGHBOURS, *, quiet: bool = True):
        """`real`: features (n, d).

        Raises:
            UsageError: there are k pictures or fewer.
        """
        if len(real) <= k:
            raise UsageError(f"realism with {k} neighbours needs more than {k} real pictures, not {len(real)}")
        self.centre = real.double().mean(0)
        real = self._shifted(real)
        with Progress("neighbours", len(real), quiet=quiet) as progress:
            radii = _radii(real, k, progress)
        # Kynkaanniemi et al. 2019, section 5: where real pictures are sparse, balls are too large to say anything.
        kept = radii <= radii.median()
        self._balls, self._radii = real[kept], radii[kept]

    def _shifted(self, x: Tensor) -> Tensor:
        return (x.double() - self.centre).float()

    def realism(self, fake: Tensor) -> Tensor:
        """(m,) of features (m, d): max over balls of radius / distance to the centre (Kynkaanniemi et al. 2019, eq. 3).

        1 or more: inside a ball. A copy of a real picture has infinity.
        """
        found = []
        for rows in self._shifted(fake).split(_ROWS):
            best = torch.zeros(len(rows))
            for centres, reach in zip(self._balls.split(_COLUMNS), self._radii.split(_COLUMNS), strict=True):
                # 0 / 0 is a copy of a picture that real ones repeat.
                best = torch.maximum(best, (reach / _squared_distances(rows, centres)).nan_to_num(nan=math.inf, posinf=math.inf).amax(1))
            found.append(best.sqrt())
        return torch.cat(found) if found else torch.empty(0)


def _radii(x: Tensor, k: int, progress: Progress) -> Tensor:
    """(n,): each row's squared distance to its k-th neighbour."""

    def of(rows: Tensor) -> Tensor:
        nearest = torch.empty(len(rows), 0)
        for columns in x.split(_COLUMNS):
            # The row itself is among them, at distance zero: hence k + 1.
            nearest = torch.cat([nearest, _smallest(_squared_distances(rows, columns), k + 1)], 1)
        return _smallest(nearest, k + 1).amax(1)

    radii = []
    for part in one_thread_each(of, x.split(_ROWS)):
        radii.append(part)
        progress.update(len(part))
    return torch.cat(radii)


def _smallest(distances: Tensor, k: int) -> Tensor:
    return distances.topk(min(k, distances.shape[1]), largest=False, sorted=False).values


def _inside(x: Tensor, balls: Tensor, radii: Tensor, progress: Progress) -> float:
    """The share of rows of x that lie in at least one ball."""

    def of(rows: Tensor) -> Tensor:
        found = torch.zeros(len(rows), dtype=torch.bool)
        for centres, reach in zip(balls.split(_COLUMNS), radii.split(_COLUMNS), strict=True):
            found |= (_squared_distances(rows, centres) <= reach).any(1)
        return found

    count = 0
    for part in one_thread_each(of, x.split(_ROWS)):
        count += int(part.sum())
        progress.update(len(part))
    return count / len(x)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    distances = torch.addmm(norms, a, b.T, alpha=-2)
    return distances.masked_fill_(distances <= _SAME * norms, 0.0)
