"""The run's stream of real pictures, addressed by place: no state but the place itself."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ganvas import rng
from ganvas.augment.real import RealAugment
from ganvas.data.packed import Split
from ganvas.types import Batch, to_images


class Stream:
    """Endless passes over a split, each in an order of its own that depends on (seed, pass)."""

    def __init__(self, split: Split, batch: int, seed: int, device: torch.device, augment: RealAugment | None, labelled: bool):
        self.split, self.batch, self.seed, self.device = split, batch, seed, device
        self.augment, self.labelled = augment, labelled
        self.position = 0
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))
        # While a step is made, the next batch is read: waiting for a disk takes nothing from it.
        self._reader = ThreadPoolExecutor(1, "pictures") if split.read_from_disk else None
        self._coming: tuple[int, np.ndarray, Future[np.ndarray]] | None = None

    def indices(self, start: int, count: int) -> np.ndarray:
        """Which pictures stand at the places start to start + count - 1."""
        n, parts = len(self.split), []
        while count:
            epoch, offset = divmod(start, n)
            if self._order[0] != epoch:
                self._order = (epoch, rng.permutation(n, self.seed, "epoch", epoch))
            part = self._order[1][offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)

    def __call__(self) -> Batch:
        """The next batch."""
        start = self.position
        self.position += self.batch
        if self._reader is None:
            return self.at(self.indices(start, self.batch), start, self.augment)
        if self._coming is None or self._coming[0] != start:
            self._coming = self._read(start, self._reader)
        _, indices, pixels = self._coming
        made = self._batch(indices, pixels.result(), start, self.augment)
        self._coming = self._read(self.position, self._reader)
        return made

    def _read(self, start: int, reader: ThreadPoolExecutor) -> tuple[int, np.ndarray, Future[np.ndarray]]:
        indices = self.indices(start, self.batch)
        return start, indices, reader.submit(self.split.gather, indices)

    def at(self, indices: np.ndarray, start: int, augment: RealAugment | None) -> Batch:
        """The pictures of some indices, as a batch that begins at place `start`."""
        return self._batch(indices, self.split.gather(indices), start, augment)

    def _batch(self, indices: np.ndarray, pixels: np.ndarray, start: int, augment: RealAugment | None) -> Batch:
        images = to_images(torch.from_numpy(pixels).to(self.device))
        labels = None
        if self.labelled and self.split.labels is not None:
            labels = torch.from_numpy(np.asarray(self.split.labels)[indices].astype(np.int64)).to(self.device)
        return Batch(images if augment is None else augment(images, start), labels, start)


def class_weights(labels: np.ndarray | None, classes: int) -> Tensor | None:
    """(classes,) how often each class appears."""
    return None if labels is None else torch.from_numpy(np.bincount(labels, minlength=classes).astype(np.float64))
