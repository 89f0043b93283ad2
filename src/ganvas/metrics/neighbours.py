"""Nearest neighbours among all training pictures, in feature space and in pixels: exact, and block by block.

Work and file grow with the number of training pictures; memory does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas import artifact
from ganvas.artifact import cache_folder
from ganvas.data.packed import by_area
from ganvas.errors import UsageError, UserError
from ganvas.features.network import FeatureNetwork
from ganvas.features.parallel import one_thread_each
from ganvas.metrics.reference import RealPictures
from ganvas.progress import Progress

FORMAT = "ganvas-rows-1"
PIXEL_SIDE = 16
"""Side of the thumbnails that are compared: docs/decisions/0002-near-duplicates.md found copies by as few pixels."""
_ROWS, _COLUMNS = 1024, 4096
_BLOCK = 512
# Distances in float32 decide who is near: so many more are looked at, for what rounding swapped.
_SPARE = 4
# So many of the nearest are measured again in float64, where copies are told from what is merely near.
_EXACT = 16
_EXACT_ROWS = 4096


@runtime_checkable
class Rows(Protocol):
    """One row of numbers for each picture; read where they are needed, never all at once."""

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray) -> Tensor:
        """Float32 (k, d): the rows at int (k,) `indices`, in that order."""
        ...


@dataclass(frozen=True)
class TensorRows:
    """Rows (n, d) in memory."""

    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Tensor:
        """See `Rows`."""
        return self.rows[torch.from_numpy(indices)]


class StoredRows:
    """Rows in a .npy file, mapped into memory."""

    def __init__(self, file: Path):
        self._rows = np.load(file, mmap_mode="r", allow_pickle=False)
        self.shape = self._rows.shape

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: np.ndarray) -> Tensor:
        """See `Rows`."""
        return torch.from_numpy(np.take(self._rows.view(np.ndarray), indices, axis=0))


@dataclass(frozen=True)
class FeatureRows:
    """Features of pictures, computed whenever they are asked for."""

    pictures: RealPictures
    net: FeatureNetwork

    def __len__(self) -> int:
        return len(self.pictures)

    def gather(self, indices: np.ndarray) -> Tensor:
        """See `Rows`."""
        return self.net.features(self.pictures.gather(indices))


@dataclass(frozen=True)
class UnitRows:
    """Rows scaled to length 1: distances of directions, sqrt(2 - 2 cos).

    Features of smooth and unfinished pictures are short, and short rows are near everything: on CIFAR-10, pictures of a
    GAN that copied nothing lay nearer to training pictures than held-out ones did, until lengths were taken away.
    """

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Tensor:
        """See `Rows`."""
        return F.normalize(self.rows.gather(indices), dim=1)


@dataclass(frozen=True)
class PixelRows:
    """Thumbnails of pictures (`thumbnail_rows`), made whenever they are asked for."""

    pictures: RealPictures
    side: int = PIXEL_SIDE

    def __len__(self) -> int:
        return len(self.pictures)

    def gather(self, indices: np.ndarray) -> Tensor:
        """See `Rows`."""
        return thumbnail_rows(self.pictures.gather(indices), self.side)


def thumbnail_rows(pixels: np.ndarray, side: int = PIXEL_SIDE) -> Tensor:
    """Float32 (n, s * s * 3) of uint8 (n, H, H, 3), s being `side` or less: rows whose distance is the root mean square
    difference of the thumbnails, in levels of 0 to 255."""
    side = min(side, pixels.shape[1])
    small = pixels if pixels.shape[1] == side else by_area(pixels, side)
    flat = torch.from_numpy(np.ascontiguousarray(small)).flatten(1).float()
    return flat / flat.shape[1] ** 0.5


def mirrored(pixels: np.ndarray) -> np.ndarray:
    """uint8 (n, H, W, 3), each with left and right exchanged."""
    return np.ascontiguousarray(pixels[:, :, ::-1])


def thumbnail_views(pixels: np.ndarray) -> Tensor:
    """Float32 (n, 2, p) of uint8 (n, H, W, 3): thumbnails of pictures, and of their mirror images."""
    return torch.stack([thumbnail_rows(view) for view in (pixels, mirrored(pixels))], 1)


@dataclass(frozen=True)
class Nearest:
    """The k nearest rows of each picture, the nearest first."""

    indices: Tensor
    """int64 (n, k)"""
    distances: Tensor
    """float64 (n, k), Euclidean."""
    turned: Tensor
    """bool (n, k): whether it was the picture's mirror image that came so near."""


def nearest(views: Tensor, base: Rows, k: int = 1, *, own: np.ndarray | None = None, progress: Progress | None = None) -> Nearest:
    """The k rows of `base` that are nearest to each picture of which `views` (n, v, d) are v views.

    The distance to a picture is that of its nearest view: a picture and its mirror image are two views. The first
    distances are of differences in float64, so that equal rows have distance 0; those behind are float32's.

    Args:
        views: float32 (n, v, d).
        base: what is searched, in blocks.
        k: how many; all, where `base` has fewer.
        own: int (n,): the row of `base` that is the picture itself, and doesn't count (leave one out).
        progress: counts rows of `base`.

    Raises:
        UsageError: `base` has no row left.
    """
    left = len(base) - (own is not None)
    if left < 1:
        raise UsageError("there is no training picture to compare with: a nearest neighbour needs at least one")
    if not len(views):
        raise UsageError("there is no picture to find neighbours of: expected one or more")
    n, v, _ = views.shape
    queries = views.reshape(n * v, -1)
    owners = None if own is None else torch.from_numpy(np.asarray(own, np.int64)).repeat_interleave(v)
    found, far = _candidates(queries, base, min(left, k + _SPARE), owners, progress)
    far[:, :_EXACT] = _measured(queries, base, found[:, :_EXACT])
    indices, distances = found.view(n, -1), far.view(n, -1)
    by_distance = distances.argsort(dim=1, stable=True)
    indices, distances = indices.gather(1, by_distance), distances.gather(1, by_distance)
    # Two views may have met the same row: the nearer one stays.
    again = (indices[:, :, None] == indices[:, None, :]).tril(-1).any(2)
    order = torch.where(again, torch.inf, distances).argsort(dim=1, stable=True)[:, : min(left, k)]
    view = by_distance.gather(1, order) // found.shape[1]
    return Nearest(indices.gather(1, order), distances.gather(1, order), view > 0)


def _candidates(queries: Tensor, base: Rows, k: int, own: Tensor | None, progress: Progress | None) -> tuple[Tensor, Tensor]:
    """The nearest rows of each query, int64 (n, k), and their distances, float64 (n, k) computed in float32."""
    # Distances do not change when the origin moves, but float32 keeps more of their digits around the mean.
    centre = queries.double().mean(0)
    rows = (queries.double() - centre).float()
    best = torch.full((len(rows), k), torch.inf)
    where = torch.full((len(rows), k), -1, dtype=torch.int64)
    for start in range(0, len(base), _COLUMNS):
        columns = (base.gather(np.arange(start, min(start + _COLUMNS, len(base)))).double() - centre).float()
        norms = columns.square().sum(1)

        def merged(part: slice, start: int = start, columns: Tensor = columns, norms: Tensor = norms) -> None:
            # |q - c|^2 without |q|^2, which is the same for all of a query's candidates.
            far = torch.addmm(norms, rows[part], columns.T, alpha=-2)
            if own is not None:
                place = own[part] - start
                inside = (place >= 0) & (place < len(columns))
                far[inside, place[inside]] = torch.inf
            near, at = far.topk(min(k, len(columns)), largest=False)
            both, from_both = torch.cat([best[part], near], 1), torch.cat([where[part], at + start], 1)
            best[part], chosen = both.topk(k, largest=False)
            where[part] = from_both.gather(1, chosen)

        for _ in one_thread_each(merged, [slice(i, i + _ROWS) for i in range(0, len(rows), _ROWS)]):
            pass
        if progress is not None:
            progress.update(len(columns))
    return where, (best + rows.square().sum(1, keepdim=True)).clamp_min(0).double().sqrt()


def _measured(queries: Tensor, base: Rows, found: Tensor) -> Tensor:
    """float64 like `found` (n, k): distances of the queries to those rows."""
    k = found.shape[1]
    step = max(1, _EXACT_ROWS // k)
    parts = []
    for start in range(0, len(queries), step):
        rows = base.gather(found[start : start + step].flatten().numpy()).double()
        ours = queries[start : start + step].double().repeat_interleave(k, 0)
        parts.append((ours - rows).square().sum(1).sqrt().view(-1, k))
    return torch.cat(parts) if parts else torch.empty(0, k, dtype=torch.float64)


# -- Features of all training pictures ----------------------------------------------------------------------------


def training_features(
    pictures: RealPictures, dataset_checksum: str, net: FeatureNetwork, *, cache: Path | None = None, quiet: bool = False
) -> Rows:
    """The features of all pictures of a split, in their order, kept in a file beside the references.

    `cache` is the folder that keeps references: by default `references` in GANVAS_CACHE or in the user's cache folder.
    Where it can't be written they are computed each time.
    """
    key = hashlib.sha256("\n".join([FORMAT, dataset_checksum, pictures.name, str(len(pictures)), net.identity]).encode()).hexdigest()
    path = (cache or cache_folder() / "references") / f"{net.name}-{pictures.name}-all-{key[:24]}"
    if (known := _stored(path, len(pictures), net)) is not None:
        return known
    computed = FeatureRows(pictures, net)
    with contextlib.suppress(UserError, OSError):
        _store(path, computed, quiet)
    return _stored(path, len(pictures), net) or computed


def _stored(path: Path, count: int, net: FeatureNetwork) -> StoredRows | None:
    """What `_store` wrote; None where it is missing or not whole."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        about = json.loads((path / "about.json").read_bytes())
        rows = StoredRows(path / "features.npy")
        if about["format"] == FORMAT and rows.shape == (count, net.dim) and about["bytes"] == (path / "features.npy").stat().st_size:
            return rows
    return None


def _store(path: Path, rows: FeatureRows, quiet: bool) -> None:
    with artifact.new_folder(path) as folder:
        file = folder / "features.npy"
        with file.open("wb") as out, Progress("features of all training pictures", len(rows), quiet=quiet) as progress:
            header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), rows.net.dim)}
            np.lib.format.write_array_header_1_0(out, header)
            for block in blocks(rows):
                out.write(block.numpy().astype("<f4").tobytes())
                progress.update(len(block))
        about = {"format": FORMAT, "features": rows.net.identity, "pictures": len(rows), "bytes": file.stat().st_size}
        artifact.write_json(folder / "about.json", about)


def blocks(rows: Rows, size: int = _BLOCK) -> Iterator[Tensor]:
    """All rows in order, in blocks (b, d)."""
    for start in range(0, len(rows), size):
        yield rows.gather(np.arange(start, min(start + size, len(rows))))
