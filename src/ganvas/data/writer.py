"""Writing a packed data set: pixels as they come, in any order, then what must be known about them."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np

from ganvas.artifact import disk_errors, sha256, write_bytes
from ganvas.data.listing import Item
from ganvas.errors import UserError

_HEADER_BYTES = 128
_BLOCK_BYTES = 8 * 2**20
_ROWS_AT_ONCE = 10_000
_PARTS = 8
DIGEST_BYTES = 32


def npy_header(shape: Sequence[int], dtype: str = "|u1") -> bytes:
    """The header of a .npy file (format 1.0) of such a shape, always of 128 bytes.

    numpy's own has varied in length between versions; a fixed one can be rewritten in place when the count is known.
    """
    words = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + words.ljust(_HEADER_BYTES - 11) + b"\n"


class RowFile:
    """A .npy file of (n, *row) under construction, whose rows are written in any order.

    It is written to, not mapped: on a full disk a write fails with an error, while a store to a map kills the process.
    """

    def __init__(self, path: Path, count: int, row: tuple[int, ...], dtype: str = "|u1"):
        self._shape, self._dtype = row, np.dtype(dtype)
        self._row = math.prod(row) * self._dtype.itemsize
        self._file = path.open("wb+", buffering=0)
        try:
            self._put(0, npy_header((count, *row), dtype))
        except OSError:
            self._file.close()
            raise

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def write(self, rows: Sequence[int], values: np.ndarray) -> None:
        """Put (k, *row) into the k `rows`, which are in rising order."""
        data = memoryview(cast(Any, np.ascontiguousarray(values, self._dtype).reshape(-1).view(np.uint8)))
        start = 0
        for end in range(1, len(rows) + 1):
            if end == len(rows) or rows[end] != rows[end - 1] + 1:
                self._put(_HEADER_BYTES + rows[start] * self._row, data[start * self._row : end * self._row])
                start = end

    def finish(self, kept: np.ndarray) -> None:
        """Close the gaps that bool (n,) `kept` says there are, and set the final count."""
        count = int(kept.sum())
        place = _HEADER_BYTES
        if count < len(kept):
            edges = np.flatnonzero(np.diff(kept.astype(np.int8), prepend=0, append=0))
            for first, last in edges.reshape(-1, 2).tolist():
                place = self._move(_HEADER_BYTES + first * self._row, (last - first) * self._row, place)
        self._put(0, npy_header((count, *self._shape), self._dtype.str))
        self._file.truncate(_HEADER_BYTES + count * self._row)

    def _move(self, start: int, length: int, place: int) -> int:
        """Copy bytes towards the front; the end of the copy."""
        while length > 0 and start != place:
            self._file.seek(start)
            data = self._file.read(min(length, _BLOCK_BYTES))
            self._put(place, data)
            start, place, length = start + len(data), place + len(data), length - len(data)
        return place + length

    def _put(self, place: int, data: bytes | memoryview) -> None:
        self._file.seek(place)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


class Digests:
    """What the pictures of a data set that is being made are told by, a file of uint8 (n, 32) for each split.

    Files, because a million would take 32 MB of memory. They are taken away before the data set is described.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def path(self, split: str) -> Path:
        """Where those of a split are."""
        return self._folder / f"{split}.digests.npy"

    def file(self, split: str, count: int) -> RowFile:
        """To write those of a split."""
        return RowFile(self.path(split), count, (DIGEST_BYTES,))

    def of(self, split: str) -> np.ndarray:
        """Those of a split, mapped: (n, 32)."""
        return np.load(self.path(split), mmap_mode="r", allow_pickle=False)

    def blocks(self, split: str) -> Iterator[np.ndarray]:
        """Those of a split in order, some thousand at a time."""
        with self.path(split).open("rb") as file:
            file.seek(_HEADER_BYTES)
            while data := file.read(DIGEST_BYTES * _ROWS_AT_ONCE):
                yield np.frombuffer(data, np.uint8).reshape(-1, DIGEST_BYTES)

    def remove(self) -> None:
        """Delete them all."""
        for path in self._folder.glob("*.digests.npy"):
            path.unlink()


def pixel_digest(pixels: np.ndarray) -> bytes:
    """SHA-256 of a picture's pixels, uint8 (R, R, 3): equal for exact duplicates."""
    return hashlib.sha256(cast(Any, np.ascontiguousarray(pixels))).digest()


def content_checksum(resolution: int, classes: Sequence[str], digests: Digests, labels: dict[str, np.ndarray | None]) -> str:
    """What a data set is, whatever its names and sources: of its resolution, classes and, in order, pixels and labels.

    Args:
        digests: of the pictures of all splits.
        labels: of each split int (n,), or None.
    """
    total = hashlib.sha256(json.dumps(["ganvas-dataset", 1, resolution, list(classes), list(labels)]).encode())
    for split, of_it in labels.items():
        total.update(len(digests.of(split)).to_bytes(8, "little"))
        for block in digests.blocks(split):
            total.update(cast(Any, block))
        total.update(b"unlabelled" if of_it is None else of_it.astype("<i8").tobytes())
    return total.hexdigest()


def write_split(folder: Path, split: str, names: Iterable[str], labels: np.ndarray | None) -> None:
    """The files beside a split's pixels: names and, where there are any, labels (int64)."""
    left = iter(names)
    with (folder / f"{split}.names.json").open("wb") as file:  # in parts: as one text, a million names take 100 MB
        file.write(b"[")
        between = ""
        while part := list(islice(left, _ROWS_AT_ONCE)):
            file.write((between + json.dumps(part, separators=(",", ":"))[1:-1]).encode())
            between = ","
        file.write(b"]")
    if labels is not None:
        np.save(folder / f"{split}.labels.npy", labels.astype(np.int64), allow_pickle=False)


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for people, in UTF-8; bytes of names that are no text are written as escapes."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    write_bytes(path, text.getvalue().encode("utf-8", "backslashreplace"))


def file_table(folder: Path) -> dict[str, dict[str, int | str]]:
    """Size and SHA-256 of every file in a folder, by name."""
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())}


def duplicates(digests: Digests, splits: dict[str, Sequence[Item]]) -> list[tuple[str, str, str, str]]:
    """(split, name, split, name) of every picture whose pixels equal an earlier one's, and of the first such.

    Args:
        digests: of the pictures of all splits.
        splits: the pictures of each.
    """
    blocks = [np.ascontiguousarray(block[:, :4]).view(np.uint32).ravel() for split in splits for block in digests.blocks(split)]
    starts = np.concatenate(blocks) if blocks else np.zeros(0, np.uint32)
    # Of most pictures no other begins alike: the table below holds the few others. Part by part, for order takes memory.
    alike = np.sort(np.concatenate([_repeated(starts, np.flatnonzero(starts % _PARTS == part)) for part in range(_PARTS)]))
    first: dict[bytes, tuple[str, str]] = {}
    found = []
    begin = 0
    for split, pictures in splits.items():
        of_it = digests.of(split)
        for index in alike[(alike >= begin) & (alike < begin + len(pictures))].tolist():
            name = pictures[index - begin].name
            earlier = first.setdefault(of_it[index - begin].tobytes(), (split, name))
            if earlier != (split, name):
                found.append((split, name, *earlier))
        begin += len(pictures)
    return found


def _repeated(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Those of the places whose value is also at another of them."""
    order = np.argsort(values[places], kind="stable")
    equal = np.diff(values[places][order]) == 0
    repeated = np.zeros(len(places), dtype=bool)
    repeated[1:] |= equal
    repeated[:-1] |= equal
    return places[order[repeated]]


@contextlib.contextmanager
def writing_lock(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold the lock on making `path`, in whose folder the lock's file is; the folder is made.

    Args:
        path: the folder to be made.
        busy: the message where another process holds the lock; None: wait for it, and keep the lock's file.

    Raises:
        UserError: the folder can't be written to, or another process holds the lock.
    """
    import filelock

    _check_writable(path)
    lock_path = path.with_name(f".{path.name}.lock")
    lock = filelock.FileLock(lock_path)
    try:
        lock.acquire(timeout=-1 if busy is None else 0)
    except filelock.Timeout:
        raise UserError(busy) from None
    try:
        yield
    finally:
        if busy is not None:
            with contextlib.suppress(OSError):  # while still held: one who has opened this file notices that it is gone
                os.unlink(lock_path)
        lock.release()


def _check_writable(path: Path) -> None:
    """Make the folder of `path` and a file in it, because filelock takes most failures for a lock that is held."""
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
            raise UserError(f"{path} can't be made (in {path.parent}: {error.strerror}); choose another folder") from error
