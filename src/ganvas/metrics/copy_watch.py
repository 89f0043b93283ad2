"""Near-copies of training pictures while a run trains: by thumbnails alone, which cost no pass of a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganvas.metrics.copying import NEIGHBOURS, Control, allowance, near_in
from ganvas.metrics.neighbours import PixelRows, TensorRows, nearest, thumbnail_views
from ganvas.metrics.reference import RealPictures

MOST = 20_000
"""Training pictures of a set that is watched: of more, thumbnails would take hundreds of MB, and a run in minutes shows each too seldom
to learn it by heart."""
FEWEST = 100
"""Of fewer training pictures, or of fewer generated ones, no share can be told from chance."""
CONTROL = 500
"""Control pictures, at most."""


@dataclass(frozen=True)
class WatchedCopies:
    """What a look at generated pictures found."""

    share: float
    """Of near-copies of a training picture among them (`ganvas.metrics.copying.near_copies`, by thumbnails)."""
    usual: float
    """The share up to which there is no telling it from that among real pictures."""

    @property
    def beyond_usual(self) -> bool:
        """Whether more is near-copied than chance and the data themselves explain."""
        return self.share > self.usual


class CopyWatch:
    """The thumbnails of all training pictures, and how near real pictures are to each other."""

    def __init__(self, train: RealPictures, held_out: RealPictures | None):
        """`held_out`: pictures that are not trained on; None or fewer than 100: training pictures stand beside each other."""
        every = np.arange(len(train))
        self._rows = TensorRows(torch.cat([PixelRows(train).gather(part) for part in np.array_split(every, 1 + len(train) // 512)]))
        control = Control.of(train, held_out, CONTROL)
        self._control = nearest(thumbnail_views(control.pictures.gather(control.chosen)), self._rows, NEIGHBOURS, own=control.own)

    @classmethod
    def of(cls, train: RealPictures, held_out: RealPictures | None) -> CopyWatch | None:
        """None where there are too few training pictures to say anything, or so many that it would cost too much."""
        return cls(train, held_out) if FEWEST <= len(train) <= MOST else None

    def watch(self, batches: Iterable[np.ndarray], kept: list[Tensor]) -> Iterator[np.ndarray]:
        """The same batches, uint8 (b, H, W, 3), what is needed of them added to `kept`."""
        for batch in batches:
            kept.append(thumbnail_views(batch))
            yield batch

    def found(self, kept: list[Tensor]) -> WatchedCopies | None:
        """What was found among pictures that were kept; None where they are too few."""
        views = torch.cat(kept) if kept else torch.empty(0)
        if len(views) < FEWEST:
            return None
        near, usual, _ = near_in(nearest(views, self._rows, NEIGHBOURS), self._control)
        share, control = float(near.double().mean()), float(usual.double().mean())
        return WatchedCopies(share, min(1.0, control + allowance(share, len(near), control, len(usual))))
