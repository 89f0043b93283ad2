"""Scores by nearest neighbours: precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.parallel import one_thread_each
from ganvas.metrics.intervals import FOLDS, Interval, bootstrap, jackknife, share
from ganvas.progress import Progress
from ganvas.rng import permutation

NEIGHBOURS = 3
"""Of precision and recall, as published."""
DENSITY_NEIGHBOURS = 5
"""Of density and coverage, as published."""
# Distances that are in memory at once, for each thread: 16 MB of them.
_BLOCK = 2**22
# Below this share of the two squared norms, a squared distance in float32 is rounding: the two are the same picture.
_SAME = 1e-6
# Neighbours that are known beyond the k-th, to stand in for those of a fold that is left out.
_SPARE = 6
_PAIRS = 2**18


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares between 0 and 1."""

    precision: float
    recall: float


@dataclass(frozen=True)
class Share:
    """A score, and its interval over the generated pictures; None where there are too few of them for one."""

    value: float
    interval: Interval | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Manifold:
    """Precision, recall and coverage from 0 to 1; density from 0, and about 1 where both sides are alike."""

    precision: Share
    recall: Share
    density: Share
    coverage: Share


def precision_recall(real: Tensor, fake: Tensor, k: int = NEIGHBOURS, *, quiet: bool = True) -> PrecisionRecall:
    """The first two of `manifold_scores`."""
    found = manifold_scores(real, fake, k, k, quiet=quiet)
    return PrecisionRecall(found.precision.value, found.recall.value)


def manifold_scores(
    real: Tensor, fake: Tensor, k: int = NEIGHBOURS, density_k: int = DENSITY_NEIGHBOURS, *, quiet: bool = True
) -> Manifold:
    """Of features (n, d) and (m, d), real and generated; B_k(x) is the ball around x to its k-th neighbour of its own side.

    - precision: share of the fakes in any B_k of a real one; recall: share of the real ones in any B_k of a fake
      (Kynkaanniemi et al. 2019, eq. 1 and 2).
    - density: real balls B_density_k that hold a fake, on average, over density_k; coverage: share of the real ones whose
      B_density_k holds a fake (Naeem et al. 2020, eq. 4 and 5).

    Exact, a block of rows at a time: no matrix of all pairs. Each distance is computed once for all four. All of them
    depend on n and m: compare only scores of the same numbers.

    Raises:
        UsageError: a side has no more pictures than neighbours.
    """
    most = max(k, density_k)
    for side, what in ((real, "real"), (fake, "generated")):
        if len(side) <= most:
            raise UsageError(f"scores with {most} neighbours need more than {most} {what} pictures, not {len(side)}")
    # Distances do not change when the origin moves, but float32 keeps more of their digits around the mean.
    centre = real.double().mean(0)
    real, fake = (real.double() - centre).float(), (fake.double() - centre).float()
    with Progress("neighbours", 2 * len(real) + len(fake), quiet=quiet) as progress:
        (reach, wide), _ = _neighbours(real, (k, density_k), progress)
        # Below two pictures in a fold there is nothing to leave out.
        folds = torch.from_numpy(permutation(len(fake), "neighbour folds") % FOLDS) if len(fake) >= 2 * FOLDS else None
        (radii,), without = _neighbours(fake, (k,), progress, folds)
        left = None if folds is None or without is None else _LeftOut(folds, without)
        return _Crossing(real, fake, reach, wide, density_k, radii, left).scores(progress)


def _neighbours(
    x: Tensor, ks: tuple[int, ...], progress: Progress, folds: Tensor | None = None
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Each row's squared distance (n,) to its k-th neighbour, for each k; and with `folds` (n,), where each of them is left
    out in turn, to the first k-th: (n, FOLDS)."""
    most = min(max(ks) + (_SPARE if folds is not None else 0), len(x) - 1)

    def of(rows: Tensor) -> tuple[Tensor, Tensor | None]:
        # The row itself is among them, at distance zero: hence one more.
        found = _squared_distances(rows, x).topk(most + 1, largest=False)
        radii = found.values[:, list(ks)]
        return radii, None if folds is None else _left_out(found.values[:, 1:], folds[found.indices[:, 1:]], ks[0])

    done = []
    for part in one_thread_each(of, x.split(_rows(x))):
        done.append(part)
        progress.update(len(part[0]))
    without = [left for _, left in done if left is not None]
    return tuple(torch.cat([radii for radii, _ in done]).unbind(1)), torch.cat(without) if without else None


def _left_out(distances: Tensor, folds: Tensor, k: int) -> Tensor:
    """(b, FOLDS): the k-th smallest of rising distances (b, c) without those of each fold, or the largest known."""
    remaining = (folds[:, :, None] != torch.arange(FOLDS)).cumsum(1)  # (b, c, FOLDS)
    place = (remaining < k).sum(1).clamp(max=distances.shape[1] - 1)
    return distances.gather(1, place)


class _LeftOut:
    """What becomes of recall and coverage where each fold of the generated pictures is left out in turn."""

    def __init__(self, folds: Tensor, radii: Tensor):
        """`folds` (m,) of the pictures, and their balls' squared `radii` (m, FOLDS) without each fold."""
        self.folds, self.radii, self._largest = folds, radii, radii.amax(1)
        self._member = torch.nn.functional.one_hot(folds, FOLDS).float()

    def covered(self, near: Tensor) -> Tensor:
        """(FOLDS,): how many real balls still hold a fake, where `near` (b, m) says which they hold."""
        held = near.float() @ self._member
        return ((held.sum(1, keepdim=True) - held) > 0).sum(0)

    def recalled(self, distances: Tensor, mine: Tensor) -> Tensor:
        """(FOLDS,): how many real pictures are still in a fake's ball, of `distances` (b, m); `mine` are those within now."""
        # Balls only grow when others are left out, so that two of different folds hold a picture in any case.
        safe = ((mine.float() @ self._member) > 0).sum(1) > 1
        distances = distances[~safe]
        held = torch.zeros(len(distances), FOLDS, dtype=torch.bool)
        for chosen in (distances <= self._largest).nonzero().split(_PAIRS):
            row, column = chosen.unbind(1)
            inside = (distances[row, column][:, None] <= self.radii[column]) & (self.folds[column][:, None] != torch.arange(FOLDS))
            which, fold = inside.nonzero().unbind(1)
            held[row[which], fold] = True
        return safe.sum() + held.sum(0)


@dataclass(frozen=True)
class _Counted:
    """What a block of real pictures adds: `inside` and `balls` (m,) of the fakes; `shares` (2, 1 + FOLDS): how many of the
    block are recalled and covered, by all fakes and without each fold."""

    count: int
    inside: Tensor
    balls: Tensor
    shares: Tensor


class _Crossing:
    """The distances from real to generated pictures, and all that is counted in them."""

    def __init__(self, real: Tensor, fake: Tensor, reach: Tensor, wide: Tensor, density_k: int, radii: Tensor, left: _LeftOut | None):
        """`reach` and `wide` (n,): squared radii of the real balls for either k; `radii` (m,) of the fakes'."""
        self.real, self.fake, self.reach, self.wide, self.density_k, self.radii, self.left = real, fake, reach, wide, density_k, radii, left

    def _block(self, rows: Tensor, reach: Tensor, wide: Tensor) -> _Counted:
        distances = _squared_distances(rows, self.fake)
        near, mine = distances <= wide[:, None], distances <= self.radii
        shares = torch.zeros(2, 1 + FOLDS, dtype=torch.int64)
        shares[:, 0] = torch.stack([mine.any(1).sum(), near.any(1).sum()])
        if self.left is not None:
            shares[:, 1:] = torch.stack([self.left.recalled(distances, mine), self.left.covered(near)])
        return _Counted(len(rows), (distances <= reach[:, None]).any(0), near.sum(0), shares)

    def scores(self, progress: Progress) -> Manifold:
        n, m = len(self.real), len(self.fake)
        inside, balls = torch.zeros(m, dtype=torch.bool), torch.zeros(m, dtype=torch.int64)
        shares = torch.zeros(2, 1 + FOLDS, dtype=torch.int64)
        parts = list(zip(*(side.split(_rows(self.fake)) for side in (self.real, self.reach, self.wide)), strict=True))
        for part in one_thread_each(lambda rows: self._block(*rows), parts):
            inside |= part.inside
            balls += part.balls
            shares += part.shares
            progress.update(part.count)
        density = balls.double() / self.density_k
        precision, dense = float(inside.double().mean()), float(density.mean())
        (recall, coverage), without = (shares[:, 0].double() / n).tolist(), shares[:, 1:] / n
        if self.left is None:
            return Manifold(Share(precision), Share(recall), Share(dense), Share(coverage))
        (spread,) = bootstrap([dense], (density - dense)[:, None])
        return Manifold(
            Share(precision, share(precision, m)),
            Share(recall, jackknife(recall, without[0]).at_least(recall, 1 / n).within(0, 1)),
            Share(dense, spread.within(0)),
            Share(coverage, jackknife(coverage, without[1]).at_least(coverage, 1 / n).within(0, 1)),
        )


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
            (radii,), _ = _neighbours(real, (k,), progress)
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
        for rows in self._shifted(fake).split(_rows(self._balls)):
            ratio = self._radii / _squared_distances(rows, self._balls)
            # 0 / 0 is a copy of a picture that real ones repeat.
            found.append(ratio.nan_to_num(nan=math.inf, posinf=math.inf).amax(1).sqrt())
        return torch.cat(found) if found else torch.empty(0)


def _rows(columns: Tensor) -> int:
    """Rows whose distances to so many columns make a block."""
    return max(1, _BLOCK // len(columns))


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    distances = torch.addmm(norms, a, b.T, alpha=-2)
    return distances.masked_fill_(distances <= _SAME * norms, 0.0)
