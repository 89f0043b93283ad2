"""Generated pictures beside all training pictures: neighbours, the control, and what they say of copying."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas import rng
from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.copying import (
    NEIGHBOURS,
    Control,
    Memorisation,
    NearCopies,
    Side,
    assign,
    cell_count,
    centres,
    copy_test,
    near_copies,
    relative_distance,
)
from ganvas.metrics.neighbours import Nearest, PixelRows, Rows, UnitRows, mirrored, nearest, thumbnail_views, training_features
from ganvas.metrics.reference import RealPictures
from ganvas.progress import Progress

CONTROL_CAP = 1000
"""Control pictures, at most: five of them make half a per cent."""
FEWEST = 10
"""Fewer training pictures make no neighbourhood in which one could be unusually near."""
_CELL_ROWS = 5000
_BLOCK = 512


@dataclass(frozen=True)
class Views:
    """Pictures as they are searched for: each, and its mirror image."""

    features: Tensor
    """Float32 (n, 2, dim), rows of length 1."""
    pixels: Tensor
    """Float32 (n, 2, p): `thumbnail_rows`."""

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray], net: FeatureNetwork, what: str, total: int | None = None, quiet: bool = False) -> Views:
        """Of uint8 blocks (b, H, W, 3); `what` names them in the progress.

        Raises:
            UsageError: there is no picture.
        """
        features, pixels = [], []
        with Progress(f"features of {what}", total, quiet=quiet) as progress:
            for block in blocks:
                both = (block, mirrored(block))
                features.append(torch.stack([F.normalize(net.features(view), dim=1) for view in both], 1))
                pixels.append(thumbnail_views(block))
                progress.update(len(block))
        if not features:
            raise UsageError(f"there are no {what} to find neighbours of: expected one or more")
        return cls(torch.cat(features), torch.cat(pixels))


@dataclass(frozen=True)
class Judged:
    """Generated pictures beside training pictures."""

    memorisation: Memorisation
    side: Side
    near: Tensor
    """bool (n,): the near-copies."""
    suspicion: Tensor
    """int64 (n,): the pictures' indices, the most suspicious first."""
    nearer_features: Tensor
    """float64 (n,): the share of control pictures whose nearest training picture is farther, in features."""
    nearer_pixels: Tensor


class TrainingSet:
    """All training pictures, ready to be searched, and the control that says how near is usual."""

    def __init__(
        self,
        train: RealPictures,
        held_out: RealPictures | None,
        checksum: str,
        net: FeatureNetwork,
        *,
        cache: Path | None = None,
        quiet: bool = False,
    ):
        """Features of all training pictures come from the cache, or are made once.

        Args:
            train: the training pictures.
            held_out: pictures that were not trained on; None or fewer than 100: the control is of training pictures.
            checksum: of the data set.
            net: the features.
            cache: where features are kept; see `training_features`.
            quiet: no progress.

        Raises:
            UsageError: there are fewer than ten training pictures.
        """
        if len(train) < FEWEST:
            raise UsageError(f"there are {len(train)} training pictures: neighbours need {FEWEST} or more to say anything")
        self.train, self.net, self._quiet = train, net, quiet
        self.features: Rows = UnitRows(training_features(train, checksum, net, cache=cache, quiet=quiet))
        self.pixels: Rows = PixelRows(train)
        control = Control.of(train, held_out, CONTROL_CAP)
        controls, chosen, self.held_out = control.pictures, control.chosen, control.held_out
        words = f"held-out pictures ({controls.name})" if self.held_out else "training pictures, each compared with all others"
        self.control_words = words
        some = rng.permutation(len(train), "cells", train.name)[:_CELL_ROWS]
        self.centres = centres(self.features.gather(np.sort(some)), cell_count(len(chosen)))
        blocks = (controls.gather(chosen[i : i + _BLOCK]) for i in range(0, len(chosen), _BLOCK))
        views = Views.of(blocks, net, "control pictures", len(chosen), quiet)
        self.control = self.side(views, control.own)

    def side(self, views: Views, own: np.ndarray | None = None) -> Side:
        """The neighbours of pictures; `own` as in `nearest`."""
        with Progress("neighbours among training pictures", 2 * len(self.train), quiet=self._quiet) as progress:
            found = [
                nearest(of, among, NEIGHBOURS, own=own, progress=progress)
                for of, among in ((views.features, self.features), (views.pixels, self.pixels))
            ]
        return Side(found[0], found[1], assign(views.features[:, 0], self.centres))

    def judge(self, blocks: Iterable[np.ndarray], total: int | None = None) -> Judged:
        """What generated pictures, uint8 blocks (b, H, W, 3), say of copying.

        Raises:
            UsageError: there is no picture.
        """
        fake = self.side(Views.of(blocks, self.net, "generated pictures", total, self._quiet))
        near, which = near_copies(fake, self.control)
        features, pixels = self._pairs(fake)
        return Judged(
            memorisation=self._said(fake, near),
            side=fake,
            near=which,
            suspicion=self._suspicion(fake),
            nearer_features=_nearer(*(found.distances[:, 0] for found in features)),
            nearer_pixels=_nearer(*(found.distances[:, 0] for found in pixels)),
        )

    def _said(self, fake: Side, near: NearCopies) -> Memorisation:
        (ours, theirs), (our_pixels, their_pixels) = self._pairs(fake)
        cells = fake.cells, self.control.cells
        return Memorisation(
            features=copy_test(ours.distances[:, 0], theirs.distances[:, 0], *cells, "distance between directions of features"),
            pixels=copy_test(relative_distance(our_pixels), relative_distance(their_pixels), *cells, "relative distance of thumbnails"),
            near_copies=near,
            median_features=_median(ours),
            median_features_control=_median(theirs),
            median_pixels=_median(our_pixels),
            median_pixels_control=_median(their_pixels),
            control=self.control_words,
            held_out=self.held_out,
            features_name=self.net.name,
            features_identity=self.net.identity,
            resizer=self.net.resizer,
            n=len(fake),
            control_n=len(self.control),
            reference_n=len(self.train),
        )

    def _pairs(self, fake: Side) -> tuple[tuple[Nearest, Nearest], tuple[Nearest, Nearest]]:
        return (fake.features, self.control.features), (fake.pixels, self.control.pixels)

    def _suspicion(self, fake: Side) -> Tensor:
        """Pictures by how unusual the nearer of their two relative distances is; of equally unusual ones the nearest."""
        far = torch.stack([relative_distance(a) for a, _ in self._pairs(fake)])
        usual = torch.stack([1 - _nearer(relative_distance(a), relative_distance(b)) for a, b in self._pairs(fake)]).amin(0)
        order = far.amin(0).argsort(stable=True)
        return order[usual[order].argsort(stable=True)]


def _median(found: Nearest) -> float:
    return float(found.distances[:, 0].median())


def _nearer(ours: Tensor, theirs: Tensor) -> Tensor:
    """float64 (n,): the share of `theirs` (m,) that is larger than each of `ours`."""
    return 1 - torch.searchsorted(theirs.sort().values, ours.contiguous(), side="right").double() / len(theirs)
