"""Near-duplicates: pictures that are another one resized, compressed, brightened or faded.

Two pictures are near-duplicates where their thumbnails correlate, each colour channel about its own mean. That ignores
brightness and contrast, and is what `docs/decisions/0002-near-duplicates.md` compares with feature networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ganvas import rng
from ganvas.data.packed import Split, by_area
from ganvas.progress import Progress

MOST = 60_000
"""Pictures compared at most: their number squared is the work. Of more, so many are drawn by a fixed seed."""
SIMILAR = 0.95
"""Correlation from which on two pictures are near-duplicates: on CIFAR-10, all but some of such pairs were, by eye."""

_COARSE, _FINE = 8, 16
_COARSE_SIMILAR = 0.93
# Below this deviation, in levels, what is left of a thumbnail is noise, and would correlate with anything.
_FLAT = 4.0
_ROWS = 256
_READ_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Pair:
    """A picture, the earlier one that it repeats (places in the split), and how alike they are, up to 1."""

    picture: int
    earlier: int
    similarity: float
    exact: bool


@dataclass(frozen=True)
class Copies:
    """The pictures of a split that repeat an earlier one, in their order, among how many."""

    pairs: tuple[Pair, ...]
    compared: int

    @property
    def exact(self) -> int:
        """How many have the very pixels of an earlier one."""
        return sum(pair.exact for pair in self.pairs)

    @property
    def near(self) -> int:
        """How many are only nearly an earlier one."""
        return len(self.pairs) - self.exact


def thumbnails(pixels: np.ndarray, side: int) -> np.ndarray:
    """float32 (n, side * side * 3) of uint8 (n, R, R, 3): rows whose inner products are correlations, 0 for flat pictures."""
    side = min(side, pixels.shape[1])
    small = by_area(pixels, side).astype(np.float32)
    small -= small.mean((1, 2), keepdims=True)
    rows = small.reshape(len(small), -1)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _FLAT * np.sqrt(rows.shape[1]))
    return rows


def near_duplicates(split: Split, quiet: bool = False) -> Copies:
    """Each picture whose nearest earlier one is as good as the same.

    All are compared with all by coarse thumbnails, a block at a time, and the nearest again by finer ones. Memory: 768
    bytes for each picture compared, and some blocks.
    """
    places = np.arange(len(split)) if len(split) <= MOST else np.sort(rng.permutation(len(split), "copies")[:MOST])
    step = max(1, _READ_BYTES // split.images[0].nbytes)
    coarse = np.concatenate([thumbnails(split.gather(places[k : k + step]), _COARSE) for k in range(0, len(places), step)])
    found: list[Pair] = []
    with Progress("looking for copies", len(places), quiet=quiet) as progress:
        for start in range(0, len(places), _ROWS):
            rows = coarse[start : start + _ROWS]
            alike = rows @ coarse[: start + len(rows)].T
            alike[:, start:][np.triu_indices(len(rows))] = -1  # itself, and those that come later
            nearest = alike.argmax(1)
            chosen = np.flatnonzero(alike[np.arange(len(rows)), nearest] >= _COARSE_SIMILAR)
            if len(chosen):
                found += _judged(split, places[start + chosen], places[nearest[chosen]])
            progress.update(len(rows))
    return Copies(tuple(found), len(places))


def _judged(split: Split, pictures: np.ndarray, earlier: np.ndarray) -> list[Pair]:
    """Those of the candidate pairs that are alike in finer thumbnails, too."""
    ours, theirs = split.gather(pictures), split.gather(earlier)
    similarity = (thumbnails(ours, _FINE) * thumbnails(theirs, _FINE)).sum(1)
    exact = (ours == theirs).reshape(len(ours), -1).all(1)
    return [
        Pair(int(a), int(b), round(float(min(s, 1)), 4), bool(e))
        for a, b, s, e in zip(pictures, earlier, similarity, exact, strict=True)
        if e or s >= SIMILAR
    ]
