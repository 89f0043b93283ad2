"""What a choice needs to know of the pictures: how large they are, which classes, how varied, whether they may be mirrored."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from ganvas.config.data import DataConfig
from ganvas.data.decode import Rejected
from ganvas.data.listing import Item
from ganvas.data.opening import open_source
from ganvas.data.packed import PackedDataset, Split, is_packed, open_packed
from ganvas.data.source import Source
from ganvas.features.pyramid import FrozenPyramid
from ganvas.rng import permutation
from ganvas.types import to_images

SIZED = 200
"""Files whose size is read, at most."""
MIRRORED = 1_000
"""Pictures that the test of mirroring looks at, at most; fewer than `FEWEST_MIRRORED` say nothing."""
FEWEST_MIRRORED = 100
FLATTENED = 500
"""Pictures whose flatness is measured, at most."""
_BLOCK = 100
_RIDGE = 0.1
_SIDE = 64


@dataclass(frozen=True)
class Sizes:
    """How large pictures are before they are prepared."""

    side: int
    """The median of their short sides, in pixels."""
    most: int | None
    """The resolution that they are packed at, above which nothing can be had; None for a source."""


@dataclass(frozen=True)
class Looks:
    """What is seen in prepared pictures."""

    pictures: int
    """In the split train."""
    counts: dict[str, int]
    """Training pictures of each class; empty without labels."""
    handedness: float | None
    """Share of pictures that a linear classifier tells from their mirror images, 0.5 where it can't; None: too few pictures."""
    variety: float
    """How many directions the pictures' features vary in (`effective_rank`)."""
    flatness: float
    """`flatness` of the pictures: from 0 to 1."""


def sizes(data: str | Path, config: DataConfig, quiet: bool = True) -> Sizes:
    """Of a packed data set, or of a source, of which some files' headers are read.

    Raises:
        DataError: there is none, or none of those read is a picture.
        UsageError: an unknown built-in, or boxes that are not there.
    """
    if not str(data).startswith("builtin:") and is_packed(data):
        packed = open_packed(data)
        known = packed.split("train").sizes
        side = packed.resolution if known is None else int(np.median(known.min(1)))
        return Sizes(side, packed.resolution)
    with open_source(data, quiet, boxes=config.boxes if config.crop == "box" else None) as source:
        found = list(_short_sides(source))
    # Where none can be read, preparing says which and why.
    return Sizes(int(np.median(found)) if found else config.resolution, None)


def _short_sides(source: Source) -> Iterator[int]:
    chosen = source.items[:: max(1, len(source.items) // SIZED)][:SIZED]
    if source.sequential:
        # Those at the front: to reach the last one, all would have to be unpacked.
        wanted, chosen = len(chosen), list(source.items)
        for read, (index, data) in enumerate(source.stream(chosen)):
            if read == wanted:
                return
            yield from _short_side(chosen[index], data)
        return
    for item in chosen:
        try:
            with source.open(item) as file:
                yield from _short_side(item, file.read())
        except (Rejected, OSError):
            continue


def _short_side(item: Item, data: bytes) -> Iterator[int]:
    import io

    if item.box is not None:
        yield max(1, round(min(item.box.right - item.box.left, item.box.bottom - item.box.top)))
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                yield min(picture.size)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return


def looks(dataset: PackedDataset, features: Tensor) -> Looks:
    """Of the split train; `features` (n, d) are of some of its pictures."""
    split = dataset.split("train")
    counts = {} if split.labels is None else np.bincount(split.labels, minlength=len(dataset.classes)).tolist()
    return Looks(
        pictures=len(split),
        counts=dict(zip(dataset.classes, counts, strict=True)) if counts else {},
        handedness=handedness(split),
        variety=effective_rank(features),
        flatness=flatness(split),
    )


def flatness(split: Split) -> float:
    """The median picture's share of neighbouring pixels that are alike to one level: low in photographs, high in drawings."""
    pixels = split.gather(permutation(len(split), "flatness")[:FLATTENED]).astype(np.int16)
    alike = np.abs(pixels[:, :, 1:] - pixels[:, :, :-1]).max(3) <= 1
    return float(np.median(alike.mean((1, 2))))


def effective_rank(features: Tensor) -> float:
    """The exponential of the entropy of the covariance's eigenvalues as shares of their sum (Roy and Vetterli 2007), of (n, d)."""
    centred = features.double() - features.double().mean(0)
    values = torch.linalg.svdvals(centred).square()
    shares = values / values.sum().clamp_min(1e-300)
    return float(torch.exp(-(shares * shares.clamp_min(1e-300).log()).sum()))


def handedness(split: Split) -> float | None:
    """How well pictures are told from their mirror images, by a linear classifier on pictures that it did not learn from.

    What can't be told apart may be mirrored while training (visual chirality: Lin et al. 2020). A picture is described by
    maps of a frozen network, whose place does not count, and by brightness in an 8x8 grid, whose place does; the classifier
    is ridge regression on the difference to the mirror image's description, learnt on each half and tried on the other.
    """
    count = min(MIRRORED, len(split)) // 2 * 2
    if count < FEWEST_MIRRORED:
        return None
    pixels = split.gather(permutation(len(split), "handedness")[:count])
    describe = _Description()
    both = torch.cat([describe(pixels), describe(np.ascontiguousarray(pixels[:, :, ::-1]))])
    both = both / both.std(0).clamp_min(1e-6) * describe.weights
    differences = (both[:count] - both[count:]).double()
    first, second = differences.split(count // 2)
    told = [(other @ _ridge(one) > 0).double().mean() for one, other in ((first, second), (second, first))]
    return float(sum(told) / 2)


def _ridge(rows: Tensor) -> Tensor:
    """The weights (d,) that bring rows (n, d) nearest to 1."""
    gram = rows @ rows.T
    damping = _RIDGE * gram.diagonal().mean().clamp_min(1e-12)
    return rows.T @ torch.linalg.solve(gram + damping * torch.eye(len(rows), dtype=rows.dtype), torch.ones(len(rows), dtype=rows.dtype))


class _Description:
    """uint8 (n, R, R, 3) to rows of as many numbers each."""

    def __init__(self) -> None:
        self._pyramid = FrozenPyramid()
        self.weights = torch.empty(0)
        """Of the numbers, so that each kind counts as much, however many it has."""

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> Tensor:
        return torch.cat([self._some(torch.from_numpy(pixels[at : at + _BLOCK])) for at in range(0, len(pixels), _BLOCK)])

    def _some(self, pixels: Tensor) -> Tensor:
        images = to_images(pixels)
        if images.shape[2] != _SIDE:
            how = "area" if images.shape[2] > _SIDE else "bilinear"
            images = F.interpolate(images, size=(_SIDE, _SIDE), mode=how)
        # The finest maps tell of edges alone.
        parts = [maps.float().mean((2, 3)) for maps in self._pyramid(images)[1:]]
        parts.append(F.avg_pool2d(images.mean(1, keepdim=True), _SIDE // 8).flatten(1))
        self.weights = torch.cat([torch.full((part.shape[1],), part.shape[1] ** -0.5) for part in parts])
        return torch.cat(parts, 1)
