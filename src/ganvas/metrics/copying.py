"""Whether generated pictures are copies of training pictures: the C_T test, and the share of near-copies.

Both compare with a control: real pictures that were held out of training, or, where there are none, training pictures,
each compared with all others (leave one out). docs/decisions/0003-near-copies.md says what the thresholds rest on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganvas import rng
from ganvas.errors import UsageError
from ganvas.metrics import intervals
from ganvas.metrics.neighbours import Nearest
from ganvas.metrics.reference import RealPictures
from ganvas.notebook import Shown

NEIGHBOURS = 50
"""A picture's nearest distance is held against the mean of so many (Carlini et al. 2023, arXiv 2301.13188, section 5.1)."""
NEAR = 1 / 3
"""A copy is at least so much nearer than they are on average, whatever data set it is of."""
SHARE = 0.01
"""Share of the control that may count as near-copies, in both spaces together, where data does not repeat itself."""
CELLS = 10
"""Cells of feature space in which the C_T test compares, at most."""
FEWEST_HELD_OUT = 100
"""Of fewer held-out pictures no percentile of a per cent can be told."""
_CELL_CONTROL = 40
_LEAST_CONTROL = 20
_ROUNDS = 20
SURE = 3.0
"""Standard deviations from which on the C_T test says something: chance goes so far once in 370 times."""


class CopyTest(BaseModel):
    """C_T (Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675, eq. 2): are generated pictures nearer to training
    pictures than control pictures are?"""

    model_config = ConfigDict(frozen=True)

    ct: float
    """Mean over cells of the Mann-Whitney Z, weighted by generated pictures: far below 0 copying, far above underfitting."""
    z: float
    """The same sum in standard deviations: N(0, 1) where nothing was copied and nothing is missing."""
    cells: int
    """Cells that had enough control pictures."""
    distance: str
    """What was compared, in words."""


class NearCopies(BaseModel):
    """Generated pictures that lie much nearer to one training picture than to others."""

    model_config = ConfigDict(frozen=True)

    share: float
    """Of the generated pictures, 0 to 1."""
    low: float
    """Where the 95% interval of `share` begins (Wilson 1927)."""
    high: float
    control: float
    """The same share of the control: what a generator that copies nothing would have."""
    excess: float
    """Estimated share of copies, (share - control) / (1 - control), 0 where there are no more than in the control."""
    certain: bool
    """Whether `share` is above that of the control by more than chance (Newcombe 1998)."""
    threshold_features: float
    """Relative distances (see `relative_distance`) up to this are near-copies."""
    threshold_pixels: float


class Memorisation(Shown, BaseModel):
    """Whether a generator copies, with all that the answer depends on."""

    model_config = ConfigDict(frozen=True)

    features: CopyTest
    pixels: CopyTest
    near_copies: NearCopies
    median_features: float
    """Distance of the median generated picture to its nearest training picture, beside that of the control."""
    median_features_control: float
    median_pixels: float
    median_pixels_control: float
    control: str
    """Which pictures the control is, in words."""
    held_out: bool
    """Whether the control was held out; else it is of training pictures, each without itself."""
    features_name: str
    features_identity: str
    resizer: str
    n: int
    """Generated pictures."""
    control_n: int
    reference_n: int
    """Training pictures that each was compared with: all."""

    def sentences(self) -> list[str]:
        """What was found, for people."""
        return [self._copies(), self._test(), *self._notes()]

    def _copies(self) -> str:
        near = self.near_copies
        as_control = f"{near.control:.1%} of the control pictures are such, too"
        much = f"{near.share:.1%} of the generated pictures ({near.low:.1%} to {near.high:.1%}) are near-copies of a training picture"
        if near.certain:
            return f"{much}; {as_control}, so that about {near.excess:.1%} of what is generated is copied."
        return f"{much}; {as_control}: no more than chance or the data itself would make."

    def _test(self) -> str:
        lowest = min((self.features, self.pixels), key=lambda test: test.z)
        if lowest.z < -SURE:
            return (
                f"As a whole they are nearer to training pictures than the control is (C_T {lowest.ct:.1f}, z {lowest.z:.1f}, "
                f"by {lowest.distance}): a sign of copying."
            )
        words = f"C_T {self.features.ct:+.1f}, z {self.features.z:+.1f}, by {self.features.distance}"
        if self.features.z > SURE:
            return f"As a whole they are farther from training pictures than the control is ({words}): most are not like them yet."
        few = "the copies are too few to move the whole" if self.near_copies.certain else "no sign of copying"
        return f"As a whole they are as near to training pictures as the control is ({words}): {few}."

    def _notes(self) -> list[str]:
        notes = []
        if not self.held_out:
            notes.append(
                f"Too few pictures were held out (fewer than {FEWEST_HELD_OUT}), so the control is {self.control}; where pictures come "
                "in near-identical groups, this makes copying look more usual than it is."
            )
        if self.near_copies.control > 3 * SHARE:
            notes.append(
                f"The data repeats itself: {self.near_copies.control:.1%} of the control pictures have a near-copy among the rest."
            )
        return notes

    def summary(self) -> str:
        """For people: what was found, and the distances behind it."""
        rows = [
            ("", "generated", "control", "C_T", "z"),
            _row("features", self.median_features, self.median_features_control, self.features, 3),
            _row("pixels", self.median_pixels, self.median_pixels_control, self.pixels, 1),
        ]
        lines = [f"{name:<10}{ours:>10}{theirs:>10}{ct:>8}{z:>8}" for name, ours, theirs, ct, z in rows]
        about = (
            f"Median distances of {self.n:,} generated pictures to the nearest of {self.reference_n:,} training pictures, mirrored ones "
            f"included, beside {self.control_n:,} control pictures: {self.control}."
        )
        return "\n".join([*self.sentences(), "", *lines, about, f"Features: {self.features_name}; pixels: levels of thumbnails."])


def _row(name: str, ours: float, theirs: float, test: CopyTest, digits: int) -> tuple[str, str, str, str, str]:
    return name, f"{ours:.{digits}f}", f"{theirs:.{digits}f}", f"{test.ct:+.1f}", f"{test.z:+.1f}"


@dataclass(frozen=True)
class Side:
    """The neighbours of one set of pictures, and the cell of each."""

    features: Nearest
    pixels: Nearest
    cells: Tensor
    """int64 (n,)"""

    def __len__(self) -> int:
        return len(self.cells)


def relative_distance(found: Nearest) -> Tensor:
    """float64 (n,): distance to the nearest over the mean distance to all k neighbours, 0 for a copy, below 1 for all.

    Smooth pictures are near to everything, and pictures of crowded places near to many; a copy is near to one. The mean
    of 50 is hardly moved where a training picture is there several times.
    """
    first = found.distances[:, 0]
    return torch.where(first == 0, 0.0, first / found.distances.mean(1))


def near_copies(fake: Side, control: Side) -> tuple[NearCopies, Tensor]:
    """The share of near-copies, and which they are, bool (n,).

    A picture is a near-copy where its relative distance, in features or in pixels, is at most `NEAR`, or at most that
    of all but 1% of the control (half a per cent for each space). Thumbnails show copies that were compressed or
    made noisy; features show those that were moved or brightened.
    """
    ours, theirs = torch.zeros(len(fake), dtype=torch.bool), torch.zeros(len(control), dtype=torch.bool)
    thresholds = []
    for side, against in ((fake.features, control.features), (fake.pixels, control.pixels)):
        near, usual, threshold = near_in(side, against)
        ours |= near
        theirs |= usual
        thresholds.append(threshold)
    share, control_share = float(ours.double().mean()), float(theirs.double().mean())
    interval = intervals.share(share, len(fake)).within(0, 1)
    found = NearCopies(
        share=share,
        low=interval.low,
        high=interval.high,
        control=control_share,
        excess=max(0.0, (share - control_share) / (1 - control_share)) if control_share < 1 else 0.0,
        certain=share - control_share > allowance(share, len(fake), control_share, len(control)),
        threshold_features=thresholds[0],
        threshold_pixels=thresholds[1],
    )
    return found, ours


def near_in(found: Nearest, control: Nearest) -> tuple[Tensor, Tensor, float]:
    """Which pictures are near-copies in one space, bool (n,), which control pictures are, bool (m,), and up to what distance."""
    far = relative_distance(control)
    threshold = max(NEAR, float(far.quantile(SHARE / 2, interpolation="lower")))
    return relative_distance(found) <= threshold, far <= threshold, threshold


def allowance(share: float, n: int, control: float, m: int) -> float:
    """How far a share of n may be above a control's of m by chance: Newcombe 1998, method 10, from the two shares' own intervals."""
    low, high = intervals.share(share, n).within(0, 1).low, intervals.share(control, m).within(0, 1).high
    return math.hypot(share - low, high - control)


@dataclass(frozen=True)
class Control:
    """Real pictures that show how near to training pictures is usual."""

    pictures: RealPictures
    chosen: np.ndarray
    """int (n,): which of them."""
    held_out: bool
    """Whether they were not trained on."""

    @classmethod
    def of(cls, train: RealPictures, held_out: RealPictures | None, most: int) -> Control:
        """`most` of the held-out pictures, drawn by chance; of the training pictures, where fewer than 100 are held out."""
        apart = held_out is not None and len(held_out) >= FEWEST_HELD_OUT
        pictures = held_out if held_out is not None and apart else train
        return cls(pictures, rng.permutation(len(pictures), "control", pictures.name)[:most], apart)

    @property
    def own(self) -> np.ndarray | None:
        """Which training pictures they are, each to be compared with all others (`nearest`); None for those held out."""
        return None if self.held_out else self.chosen


# -- C_T ----------------------------------------------------------------------------------------------------------


def copy_test(fake: Tensor, control: Tensor, fake_cells: Tensor, control_cells: Tensor, distance: str) -> CopyTest:
    """C_T of distances to training pictures, float (n,) and (m,), each in its cell int (n,) and (m,).

    Cells with fewer than 20 control pictures are left out (tau of the paper): there, nothing can be told of generated
    pictures. Where that leaves none, all are one cell.

    Raises:
        UsageError: a side is empty.
    """
    if not len(fake) or not len(control):
        raise UsageError("the C_T test compares generated pictures with control pictures: expected one or more of each")
    cells = [c for c in control_cells.unique().tolist() if (control_cells == c).sum() >= _LEAST_CONTROL and (fake_cells == c).any()]
    if not cells:
        fake_cells, control_cells, cells = torch.zeros_like(fake_cells), torch.zeros_like(control_cells), [0]
    weights = torch.tensor([float((fake_cells == c).double().mean()) for c in cells], dtype=torch.float64)
    scores = torch.tensor([mann_whitney(fake[fake_cells == c], control[control_cells == c]) for c in cells], dtype=torch.float64)
    total = float((weights * scores).sum())
    return CopyTest(ct=total / float(weights.sum()), z=total / float(weights.norm()), cells=len(cells), distance=distance)


def mann_whitney(a: Tensor, b: Tensor) -> float:
    """Z of the Mann-Whitney test of (n,) against (m,): below 0 where `a` is the smaller; equal values count half.

    (U - nm / 2) / sigma, with sigma corrected for ties (Mann and Whitney 1947; Lehmann 1975, eq. 1.35).
    """
    n, m = len(a), len(b)
    ordered = b.sort().values
    below, upto = (torch.searchsorted(ordered, a.contiguous(), side=side).double() for side in ("left", "right"))
    ties = torch.cat([a, b]).unique(return_counts=True)[1].double()
    total = n + m
    variance = n * m / 12 * (total + 1 - float((ties**3 - ties).sum()) / max(1, total * (total - 1)))
    return float(((below + upto) / 2).sum() - n * m / 2) / math.sqrt(variance) if variance > 1e-9 else 0.0


def cell_count(control: int) -> int:
    """Cells that so many control pictures can fill."""
    return max(1, min(CELLS, control // _CELL_CONTROL))


def centres(rows: Tensor, k: int, seed: int = 0) -> Tensor:
    """float32 (k, d): k-means of (n, d) by Lloyd's rounds, begun as in k-means++ (Arthur and Vassilvitskii 2007)."""
    draws = rng.uniforms(seed, "cells", 0, k, 1)[:, 0]
    chosen = [int(draws[0] * len(rows))]
    for i in range(1, min(k, len(rows))):
        far = torch.cdist(rows, rows[chosen]).amin(1).double().square()
        edges = far.cumsum(0)
        if edges[-1] <= 0:
            break
        chosen.append(int(torch.searchsorted(edges, draws[i] * edges[-1]).clamp_max(len(rows) - 1)))
    found = rows[chosen].clone()
    for _ in range(_ROUNDS):
        cells = assign(rows, found)
        count = torch.bincount(cells, minlength=len(found))
        moved = torch.zeros_like(found).index_add_(0, cells, rows) / count.clamp_min(1)[:, None]
        moved = torch.where(count[:, None] > 0, moved, found)
        if torch.equal(moved, found):
            break
        found = moved
    return found


def assign(rows: Tensor, found: Tensor) -> Tensor:
    """int64 (n,): the nearest of the centres (k, d) for each row (n, d)."""
    return (found.square().sum(1) - 2 * rows @ found.T).argmin(1)
