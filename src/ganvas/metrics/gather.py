"""What scores need of the generated pictures, gathered in a stream: constant memory, and many workers can share the work."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas.metrics.frechet import FOLDS
from ganvas.metrics.moments import Moments
from ganvas.rng import uniforms

_ROWS = 512


class Gathered:
    """Moments of all pictures in FOLDS random folds, and features, labels and logits of a sample.

    Whatever is random depends on a picture's index alone, so that workers may each take any pictures: what they gathered
    merges to what one would have gathered, the sample bit for bit, the moments up to rounding.
    """

    def __init__(self, dim: int, size: int, most_logits: int):
        """`dim` features for each picture; a sample of `size` at most, and the logits of the first `most_logits`."""
        self.folds = [Moments.empty(dim) for _ in range(FOLDS)]
        self._waiting: list[list[Tensor]] = [[] for _ in range(FOLDS)]
        self._sample = _Sample(size)
        self._most_logits = most_logits
        self._logits: list[tuple[int, Tensor]] = []

    def add(self, start: int, features: Tensor, labels: Tensor | None = None, logits: Tensor | None = None) -> None:
        """Count in the pictures start, start + 1, ...: features (b, d), class indices (b,) and logits (b, classes)."""
        folds = _folds(start, len(features))
        for fold, waiting in enumerate(self._waiting):
            waiting.append(features[folds == fold])
            self._count(fold, last=False)
        self._sample.add(start, features, labels)
        if logits is not None and start < self._most_logits:
            self._logits.append((start, logits[: self._most_logits - start]))

    def merge(self, other: Gathered) -> None:
        """Count in what another worker gathered, of other pictures of the same set."""
        for fold in range(FOLDS):
            other._count(fold, last=True)
            self._count(fold, last=True)
            self.folds[fold].merge(other.folds[fold])
        self._sample.merge(other._sample)
        self._logits += other._logits

    def moments(self) -> tuple[list[Moments], Moments]:
        """Of each fold, and of all."""
        whole = Moments.empty(self.folds[0].dim)
        for fold, moments in enumerate(self.folds):
            self._count(fold, last=True)
            whole.merge(moments)
        return self.folds, whole

    def sample(self) -> tuple[Tensor, Tensor | None]:
        """(m, d) features of the sample, each picture equally likely, in random order, and the class indices (m,) or None."""
        return self._sample.take()

    def logits(self) -> Tensor | None:
        """(n, classes) of the first pictures, in their order; None without any."""
        return torch.cat([rows for _, rows in sorted(self._logits, key=lambda pair: pair[0])]) if self._logits else None

    def _count(self, fold: int, last: bool) -> None:
        """Pictures enter the moments by fixed numbers, so that the batches in which they came change no rounding."""
        waiting = self._waiting[fold]
        n = sum(map(len, waiting))
        if n >= _ROWS or (last and n):
            rows = torch.cat(waiting)
            whole = n if last else n - n % _ROWS
            for part in rows[:whole].split(_ROWS):
                self.folds[fold].update(part)
            self._waiting[fold] = [rows[whole:]]


def _folds(start: int, count: int) -> Tensor:
    """(count,) folds of the pictures from `start` on: each run of FOLDS indices is a random order of all of them.

    Equally large to within one, and in step with nothing: generators often draw their classes in turn.
    """
    first = start // FOLDS
    runs = (start + count - 1) // FOLDS - first + 1
    folds = uniforms(0, "evaluation folds", first, runs, FOLDS).argsort(1).flatten()
    return folds[start - first * FOLDS :][:count]


class _Sample:
    """At most `size` rows of a stream, each equally likely: those with the smallest of numbers drawn by index."""

    def __init__(self, size: int):
        self.size = size
        self._keys: list[Tensor] = []
        self._rows: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, start: int, rows: Tensor, labels: Tensor | None) -> None:
        self._keys.append(uniforms(0, "evaluation sample", start, len(rows), 1)[:, 0])
        self._rows.append(rows)
        if labels is not None:
            self._labels.append(labels)
        if sum(map(len, self._keys)) >= 2 * self.size:
            self._prune()

    def merge(self, other: _Sample) -> None:
        self._keys += other._keys
        self._rows += other._rows
        self._labels += other._labels
        self._prune()

    def take(self) -> tuple[Tensor, Tensor | None]:
        self._prune()
        return self._rows[0], self._labels[0] if self._labels else None

    def _prune(self) -> None:
        if self._keys:
            keys = torch.cat(self._keys)
            chosen = keys.argsort()[: self.size]
            self._keys, self._rows = [keys[chosen]], [torch.cat(self._rows)[chosen]]
            self._labels = [torch.cat(self._labels)[chosen]] if self._labels else []
