"""The packed data set: a folder of memory-mapped pictures, made once, opened in milliseconds.

`dataset.json` says what it holds; each split has `<split>.npy` (uint8, N x R x R x 3), `<split>.names.json`,
`<split>.sizes.npy` (int32, N x 2: width and height of each picture's file) and, where there are classes,
`<split>.labels.npy` (int64); `rejected.csv` and `duplicates.csv` are for people.
"""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from ganvas.artifact import cache_folder, clear_leftovers, new_folder, sha256, write_json
from ganvas.data.pool import thread_count
from ganvas.data.writer import Digests, RowFile, content_checksum, file_table, pixel_digest, write_split, writing_lock
from ganvas.errors import DataError
from ganvas.progress import Progress

FORMAT = "ganvas-dataset"
VERSION = 1
DESCRIPTION = "dataset.json"
IN_MEMORY = 256 * 2**20
"""Bytes of pictures that the system is taken to have in memory soon, and to keep there."""


class SourceDescription(BaseModel):
    """Where the pictures came from."""

    model_config = ConfigDict(frozen=True)

    given: str
    kind: str
    fingerprint: str


class Description(BaseModel):
    """What `dataset.json` says."""

    model_config = ConfigDict(frozen=True)

    format: Literal["ganvas-dataset"] = FORMAT
    version: Literal[1] = VERSION
    resolution: int
    channels: Literal[3] = 3
    crop: str
    resizer: str
    background: tuple[int, int, int]
    classes: tuple[str, ...]
    splits: dict[str, int]
    checksum: str
    source: SourceDescription
    arguments: dict[str, Any]
    attribution: str | None
    rejected: int
    ignored: int
    duplicates: int
    shared: int
    """Held-out pictures whose pixels are in train, too."""
    enlarged: int
    notes: tuple[str, ...]
    files: dict[str, dict[str, int | str]]


class Split:
    """The pictures of one split.

    Attributes:
        name: "train", "val" or "test".
        labels: int64 (n,), class indices; None where the split has no classes.
    """

    def __init__(self, folder: Path, name: str, count: int, resolution: int):
        self.name = name
        self._folder = folder
        self._count = count
        self._shape = (count, resolution, resolution, 3)
        self.images = self._map()
        labels = folder / f"{name}.labels.npy"
        self.labels: np.ndarray | None = _load(labels) if labels.exists() else None
        if self.labels is not None and (self.labels.shape != (count,) or self.labels.dtype != np.int64):
            raise _damaged(folder, f"{labels.name} does not hold {count:,} labels")

    def _map(self) -> np.ndarray:
        """uint8 (n, R, R, 3), mapped from the file and read-only."""
        images = _load(self._folder / f"{self.name}.npy", "r")
        if images.shape != self._shape or images.dtype != np.uint8:
            raise _damaged(self._folder, f"{self.name}.npy holds {images.dtype} {images.shape}, expected uint8 {self._shape}")
        return images

    @cached_property
    def sizes(self) -> np.ndarray | None:
        """int32 (n, 2), width and height of each picture's file; None in data sets of versions that did not note them."""
        file = self._folder / f"{self.name}.sizes.npy"
        if not file.exists():
            return None
        sizes = _load(file)
        if sizes.shape != (self._count, 2) or sizes.dtype != np.int32:
            raise _damaged(self._folder, f"{file.name} does not hold {self._count:,} sizes")
        return sizes

    @cached_property
    def names(self) -> list[str]:
        """The pictures' names in their source, in order; read when first asked for."""
        try:
            names = json.loads((self._folder / f"{self.name}.names.json").read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(self._folder, f"{self.name}.names.json can't be read") from error
        if not isinstance(names, list) or len(names) != self._count:
            raise _damaged(self._folder, f"{self.name}.names.json does not hold {self._count:,} names")
        return names

    def __len__(self) -> int:
        return self._count

    @property
    def read_from_disk(self) -> bool:
        """Whether it is so large that its pictures may have to be read from the disk, again and again."""
        return self.images.nbytes > IN_MEMORY

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """A copy of the pictures at int (k,) `indices`, in that order: uint8 (k, R, R, 3).

        Raises:
            IndexError: an index is not within -n to n - 1.
        """
        return np.take(self.images.view(np.ndarray), indices, axis=0)


class PackedDataset:
    """Prepared pictures, opened.

    Attributes:
        path: its folder.
        description: all that `dataset.json` says.
    """

    def __init__(self, path: Path, description: Description):
        self.path = path
        self.description = description
        self._splits: dict[str, Split] = {}

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in self.description.splits.items())
        return f"PackedDataset({str(self.path)!r}, {self.resolution} px, {counts}, {len(self.classes)} classes)"

    @property
    def resolution(self) -> int:
        """Side of the pictures in pixels."""
        return self.description.resolution

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in order of their index; empty when unlabelled."""
        return self.description.classes

    @property
    def checksum(self) -> str:
        """Of the content: resolution, classes and, in order, pixels and labels; not of names and sources."""
        return self.description.checksum

    @property
    def attribution(self) -> str | None:
        """Whom to credit for the pictures, where their licence asks for it."""
        return self.description.attribution

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that there are, of train, val and test."""
        return tuple(self.description.splits)

    def split(self, name: str = "train") -> Split:
        """The pictures of one split.

        Raises:
            DataError: there is no such split, or its files are damaged.
        """
        if name not in self.description.splits:
            raise DataError(f'{self.path} has no split "{name}" (it has {", ".join(self.splits)}): prepare it from a source that has one')
        if name not in self._splits:
            self._splits[name] = Split(self.path, name, self.description.splits[name], self.resolution)
        return self._splits[name]

    def held_out(self) -> Split | None:
        """The pictures kept from training: val, else test, else None."""
        return next((self.split(name) for name in ("val", "test") if name in self.splits), None)

    def verify(self) -> None:
        """Read every file and compare checksums (`open_packed` compares sizes only).

        Raises:
            DataError: a file is not as it was written.
        """
        for name, entry in self.description.files.items():
            if sha256(self.path / name) != entry["sha256"]:
                raise _damaged(self.path, f"{name} is not as it was written")

    def resized(self, resolution: int, quiet: bool = False) -> PackedDataset:
        """The same pictures at a lower resolution, by area; made once, kept in the cache.

        Raises:
            DataError: it is a higher one.
        """
        if resolution == self.resolution:
            return self
        if resolution > self.resolution:
            source, crop = self.description.source.given, self.description.crop
            raise DataError(
                f"{self.path} holds pictures of {self.resolution} x {self.resolution} pixels, expected at least {resolution}: "
                f"prepare it again (ganvas prepare {source} OUT --resolution {resolution} --crop {crop})"
            )
        return _resized(self, resolution, quiet)


def is_packed(path: str | Path) -> bool:
    """Whether a path is the folder of a packed data set, perhaps a damaged one."""
    with contextlib.suppress(OSError, ValueError):
        description = json.loads((Path(path).expanduser() / DESCRIPTION).read_bytes())
        return isinstance(description, dict) and description.get("format") == FORMAT
    return False


def open_packed(path: str | Path) -> PackedDataset:
    """Open a packed data set. Compares its files' sizes, not their checksums: it takes milliseconds.

    Raises:
        DataError: there is none at that path, it is damaged, or it was written by a newer version.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        raise DataError(f"{path} does not exist: expected the folder of a packed data set; `ganvas prepare SOURCE {path}` makes one")
    if not folder.is_dir() or not (folder / DESCRIPTION).is_file():
        raise DataError(f"{path} is no packed data set: it has no {DESCRIPTION}; `ganvas prepare {path} OUT` makes one of pictures")
    try:
        values = json.loads((folder / DESCRIPTION).read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{DESCRIPTION} can't be read") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"{path} is no packed data set: its {DESCRIPTION} is another program's; `ganvas prepare {path} OUT` makes one")
    if isinstance(values.get("version"), int) and values["version"] > VERSION:
        version = values["version"]
        raise DataError(f"{path} was written by a newer ganvas (format {version}, expected {VERSION}): upgrade ganvas, or prepare it again")
    try:
        description = Description.model_validate(values)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise _damaged(folder, f'{DESCRIPTION} is wrong at "{key}"') from error
    for name, entry in description.files.items():
        file = folder / name
        size = file.stat().st_size if file.is_file() else None
        if size is None:
            raise _damaged(folder, f"{name} is missing")
        if size != entry.get("bytes"):
            raise _damaged(folder, f"{name} has {size:,} bytes, expected {entry.get('bytes'):,}")
    return PackedDataset(folder.absolute(), description)


def _damaged(folder: Path, what: str) -> DataError:
    return DataError(f"the data set {folder} is damaged: {what}; prepare it again with --force")


def _load(path: Path, mode: Literal["r"] | None = None) -> np.ndarray:
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path.parent, f"{path.name} can't be read") from error


def by_area(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 (k, R, R, 3) reduced to (k, r, r, 3): each pixel is the mean of the area that it covers, rounded to nearest.

    In whole numbers, so that it is the same everywhere. (Pillow's box filter rounds after each of its two passes, and
    half of the sums of two pixels are ties, which brightens pictures by a quarter of a level.)
    """
    old = pixels.shape[1]
    if old % resolution == 0:
        return np.stack([np.asarray(Image.fromarray(picture).reduce(old // resolution)) for picture in pixels])
    edges = np.arange(old + 1) * resolution  # of old pixels, in units of which a new pixel has `old`
    starts = np.arange(resolution)[:, None] * old
    weights = np.clip(np.minimum(edges[1:], starts + old) - np.maximum(edges[:-1], starts), 0, None).astype(np.float64)
    rows = weights @ pixels.reshape(len(pixels), old, old * 3).astype(np.float64)  # exact: far below 2^53
    sums = (weights @ rows.reshape(len(pixels), resolution, old, 3)).astype(np.int64)
    return ((2 * sums + old**2) // (2 * old**2)).astype(np.uint8)


def _reduced(pixels: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    small = by_area(pixels, resolution)
    return small, np.stack([np.frombuffer(pixel_digest(picture), np.uint8) for picture in small])


def _resized(dataset: PackedDataset, resolution: int, quiet: bool) -> PackedDataset:
    path = cache_folder() / "packed" / f"{dataset.path.name}-{resolution}px-{dataset.checksum[:12]}"
    with writing_lock(path):
        if is_packed(path):
            with contextlib.suppress(DataError):
                return open_packed(path)
        clear_leftovers(path)
        total = sum(dataset.description.splits.values())
        with new_folder(path) as folder, Progress(f"resizing to {resolution} px", total, quiet=quiet) as progress:
            _write_resized(dataset, resolution, folder, progress)
        return open_packed(path)


def _write_resized(dataset: PackedDataset, resolution: int, folder: Path, progress: Progress) -> None:
    old = dataset.description
    digests = Digests(folder)
    step = max(1, 4 * 2**20 // (old.resolution**2 * 3))
    with ThreadPoolExecutor(thread_count()) as pool:
        for name in dataset.splits:
            split = dataset.split(name)
            done = 0
            with RowFile(folder / f"{name}.npy", len(split), (resolution, resolution, 3)) as file, digests.file(name, len(split)) as told:
                window = step * thread_count()
                for start in range(0, len(split), window):
                    parts = [split.images[first : first + step] for first in range(start, min(start + window, len(split)), step)]
                    for small, found in pool.map(_reduced, parts, [resolution] * len(parts)):
                        file.write(range(done, done + len(small)), small)
                        told.write(range(done, done + len(small)), found)
                        done += len(small)
                        progress.update(len(small))
            write_split(folder, name, split.names, split.labels)
            if split.sizes is not None:
                np.save(folder / f"{name}.sizes.npy", split.sizes, allow_pickle=False)
    for table in ("rejected.csv", "duplicates.csv"):
        (folder / table).write_bytes((dataset.path / table).read_bytes())
    checksum = content_checksum(resolution, old.classes, digests, {name: dataset.split(name).labels for name in dataset.splits})
    digests.remove()
    resizer = f"{old.resizer}; then from {old.resolution} px by area"
    new = old.model_copy(update={"resolution": resolution, "resizer": resizer, "checksum": checksum, "files": file_table(folder)})
    write_json(folder / DESCRIPTION, new.model_dump(mode="json"))
