"""What a packed data set holds, in numbers: classes, sizes, colours, copies, and whether it will do for training.

One pass over the training pictures, a few megabytes at a time, and one comparison of all with all for the copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ganvas.data.copies import Copies, near_duplicates
from ganvas.data.packed import PackedDataset, Split, by_area
from ganvas.data.verdict import Facts, Verdict, balance_in_words, judge
from ganvas.notebook import Shown
from ganvas.progress import Progress

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
BINS = 32
FLAT_CONTRAST = 4.0
"""Pictures whose brightness deviates less than so many of 255 levels show nothing."""
GREY_TOLERANCE = 3.0
"""Pictures whose channels differ by less than so many levels on average are greyscale."""
MEANS_MOST = 100
"""Classes whose mean picture is kept at most."""

_MEAN_SIDE = 64
_BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Spread:
    """How a number is spread over the pictures."""

    quantiles: tuple[float, ...]
    """0, 5, 25, 50, 75, 95 and 100% of the pictures have no more."""
    mean: float
    bins: tuple[int, ...]
    """How many pictures there are in each of equally wide parts of the range."""

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """Of one number for each picture."""
        quantiles = tuple(round(float(v), 3) for v in np.quantile(values, QUANTILES))
        return cls(quantiles, round(float(values.mean(dtype=np.float64)), 3), tuple(map(int, np.histogram(values, BINS)[0])))

    @property
    def median(self) -> float:
        """The middle one."""
        return self.quantiles[3]


@dataclass(frozen=True)
class Sizes:
    """The pictures' files before packing."""

    width: Spread
    height: Spread
    commonest: tuple[tuple[int, int, int], ...]
    """(width, height, how many) of the commonest."""
    different: int
    """How many different sizes there are."""
    smaller: float
    """Share whose short side is below the resolution."""
    lost: float
    """Mean share of the area that lies outside of the centred square."""


@dataclass(frozen=True)
class Channel:
    """One colour channel over all pixels of the training pictures, in levels of 0 to 255."""

    name: str
    mean: float
    std: float
    histogram: tuple[int, ...]
    """How often each level occurs."""


@dataclass(frozen=True)
class Pixels:
    """Colours of the training pictures."""

    channels: tuple[Channel, Channel, Channel]
    brightness: Spread
    """Of the mean luma of each picture, 0 to 255."""
    contrast: Spread
    """Of the deviation of luma within each picture."""
    flat: int
    """Pictures that show nothing."""
    grey: int
    """Pictures without colour."""
    aligned: float
    """Share of all variance that the mean picture explains: 0 where pictures have no layout in common."""
    darkest: tuple[int, ...]
    brightest: tuple[int, ...]
    flattest: tuple[int, ...]


@dataclass(frozen=True)
class Inspection(Shown):
    """What `ganvas inspect` found."""

    path: str
    source: str
    resolution: int
    crop: str
    splits: dict[str, int]
    classes: dict[str, int]
    """Training pictures of each; empty where there are no labels."""
    balance: str
    rejected: int
    sizes: Sizes | None
    """None for data sets that were packed before sizes were noted."""
    pixels: Pixels
    copies: Copies
    shared: int
    """Held-out pictures that are in train, too."""
    verdict: Verdict
    attribution: str | None
    means: np.ndarray
    """uint8 (1 + classes, S, S, 3): the mean of all training pictures, then of each of the first 100 classes."""

    def to_json(self) -> dict[str, Any]:
        """All but the pictures; copies as their counts and the first hundred pairs."""
        values = {key: value for key, value in asdict(self).items() if key not in ("means", "copies")}
        copies = {"compared": self.copies.compared, "exact": self.copies.exact, "near": self.copies.near}
        return values | {"copies": copies | {"pairs": [asdict(pair) for pair in self.copies.pairs[:100]]}}

    def summary(self) -> str:
        """For people."""
        pixels = self.pixels
        counts = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
        copies = self.copies
        lines = [
            f"{self.path}: {sum(self.splits.values()):,} pictures of {self.resolution} x {self.resolution} pixels ({counts})",
            f"classes     {self.balance}",
            f"sizes       {self._sizes_in_words()}",
            "channels    " + ", ".join(f"{c.name} {c.mean:.1f} +- {c.std:.1f}" for c in pixels.channels) + " of 255",
            f"brightness  {pixels.brightness.median:.0f} in the middle, 90% from {pixels.brightness.quantiles[1]:.0f} "
            f"to {pixels.brightness.quantiles[5]:.0f}; contrast {pixels.contrast.median:.0f}",
            f"copies      {copies.exact:,} exact and {copies.near:,} near among {copies.compared:,} training pictures",
            "",
            f"Ready to train on? {self.verdict.answer}.",
            *(f"  {reason.mark} {reason.text}" for reason in self.verdict.reasons),
        ]
        return "\n".join(lines)

    def _sizes_in_words(self) -> str:
        if self.sizes is None:
            return "not noted when this was packed: prepare it again to see them"
        width, height, count = self.sizes.commonest[0]
        if self.sizes.different == 1:
            return f"all {width} x {height} before packing"
        return f"{self.sizes.different:,} different ones before packing, mostly {width} x {height} ({count:,} pictures)"


def inspect(dataset: PackedDataset, quiet: bool = False) -> Inspection:
    """Look at all training pictures of a data set.

    Raises:
        DataError: it has no split train, or is damaged.
    """
    split, description = dataset.split("train"), dataset.description
    labels = split.labels
    counts = {} if labels is None else _counts(labels, dataset.classes)
    survey = _Survey(split, len(dataset.classes) if labels is not None else 0)
    with Progress("looking at pictures", len(split), quiet=quiet) as progress:
        for start, block in _blocks(split):
            survey.add(start, block)
            progress.update(len(block))
    pixels, sizes = survey.pixels(), _sizes(split, dataset.resolution)
    copies = near_duplicates(split, quiet)
    facts = Facts(
        pictures=len(split),
        resolution=dataset.resolution,
        crop=description.crop,
        counts=counts,
        exact=copies.exact / max(1, copies.compared),
        near=copies.near / max(1, copies.compared),
        shared=description.shared,
        smaller=description.enlarged / sum(description.splits.values()),
        lost=None if sizes is None else sizes.lost,
        flat=pixels.flat / len(split),
        grey=pixels.grey / len(split),
        aligned=pixels.aligned,
    )
    return Inspection(
        path=str(dataset.path),
        source=description.source.given,
        resolution=dataset.resolution,
        crop=description.crop,
        splits=dict(description.splits),
        classes=counts,
        balance=balance_in_words(counts),
        rejected=description.rejected,
        sizes=sizes,
        pixels=pixels,
        copies=copies,
        shared=description.shared,
        verdict=judge(facts),
        attribution=dataset.attribution,
        means=survey.means(),
    )


def _counts(labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, int]:
    found = np.bincount(labels, minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, found, strict=True)}


def _blocks(split: Split) -> Iterator[tuple[int, np.ndarray]]:
    step = max(1, _BLOCK_BYTES // max(1, split.images[0].nbytes))
    for start in range(0, len(split), step):
        yield start, np.ascontiguousarray(split.images[start : start + step])


def _sizes(split: Split, resolution: int) -> Sizes | None:
    if split.sizes is None:
        return None
    width, height = split.sizes.astype(np.int64).T
    pairs, times = np.unique(split.sizes, axis=0, return_counts=True)
    order = np.argsort(-times, kind="stable")[:5]
    short = np.minimum(width, height)
    return Sizes(
        width=Spread.of(width),
        height=Spread.of(height),
        commonest=tuple((int(pairs[k][0]), int(pairs[k][1]), int(times[k])) for k in order),
        different=len(pairs),
        smaller=round(float((short < resolution).mean()), 4),
        lost=round(float(1 - (short**2 / (width * height)).mean()), 4),
    )


class _Survey:
    """What one pass over the pictures gathers; memory does not grow with them but for 12 bytes each."""

    def __init__(self, split: Split, classes: int):
        self._labels = split.labels if classes else None
        self._histogram = np.zeros((3, 256), np.int64)
        self._bright, self._contrast = (np.zeros(len(split), np.float32) for _ in range(2))
        self._colour = np.zeros(len(split), np.float32)
        side = min(_MEAN_SIDE, split.images.shape[1])
        self._sums = np.zeros((1 + min(classes, MEANS_MOST), side, side, 3))
        self._class_counts = np.zeros(len(self._sums), np.int64)

    def add(self, start: int, block: np.ndarray) -> None:
        """Count uint8 (k, R, R, 3) in, whose first picture is at place `start`."""
        rows = slice(start, start + len(block))
        for channel in range(3):
            self._histogram[channel] += np.bincount(block[..., channel].reshape(-1), minlength=256)
        luma = block.reshape(len(block), -1, 3) @ np.array(LUMA, np.float32)
        self._bright[rows], self._contrast[rows] = luma.mean(1), luma.std(1)
        self._colour[rows] = (block.max(3) - block.min(3)).mean((1, 2))
        small = block if block.shape[1] == self._sums.shape[1] else by_area(block, self._sums.shape[1])
        self._sums[0] += small.sum(0, dtype=np.int64)
        self._class_counts[0] += len(block)
        if self._labels is not None:
            labels = self._labels[rows]
            for label in np.unique(labels[labels < len(self._sums) - 1]):
                self._sums[1 + label] += small[labels == label].sum(0, dtype=np.int64)
                self._class_counts[1 + label] += (labels == label).sum()

    def means(self) -> np.ndarray:
        """uint8 (1 + classes, S, S, 3): of all pictures, and of each class."""
        means = self._sums / np.maximum(self._class_counts, 1)[:, None, None, None]
        return means.round().astype(np.uint8)

    def pixels(self) -> Pixels:
        """What there is to say about colours."""
        levels = np.arange(256)
        total = self._histogram.sum(1)
        mean = (self._histogram * levels).sum(1) / total
        variance = (self._histogram * (levels - mean[:, None]) ** 2).sum(1) / total
        picture = self._sums[0] / self._class_counts[0]
        explained = picture.reshape(-1, 3).var(0).sum() / max(variance.sum(), 1e-9)
        by_brightness, by_contrast = np.argsort(self._bright, kind="stable"), np.argsort(self._contrast, kind="stable")
        red, green, blue = (
            Channel(name, round(float(mean[k]), 3), round(float(variance[k] ** 0.5), 3), tuple(map(int, self._histogram[k])))
            for k, name in enumerate(("red", "green", "blue"))
        )
        return Pixels(
            channels=(red, green, blue),
            brightness=Spread.of(self._bright),
            contrast=Spread.of(self._contrast),
            flat=int((self._contrast < FLAT_CONTRAST).sum()),
            grey=int((self._colour < GREY_TOLERANCE).sum()),
            aligned=round(float(explained), 4),
            darkest=tuple(map(int, by_brightness[:8])),
            brightest=tuple(map(int, by_brightness[::-1][:8])),
            flattest=tuple(map(int, by_contrast[:8])),
        )
