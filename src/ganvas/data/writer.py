"""Writing a packed data set: pixels as they come, in any order, then what must be known about them."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np

from ganvas.artifact import disk_errors, sha256, write_bytes
from ganvas.errors import UserError

_HEADER_BYTES = 128
_BLOCK_BYTES = 8 * 2**20
_NAMES_AT_ONCE = 10_000
DIGEST_BYTES = 32


def npy_header(count: int, resolution: int) -> bytes:
    """The header of a .npy file (format 1.0) of uint8 (count, R, R, 3), always of 128 bytes.

    numpy's own has varied in length between versions; a fixed one can be rewritten in place when the count is known.
    """
    words = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, {resolution}, {resolution}, 3), }}".encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + words.ljust(_HEADER_BYTES - 11) + b"\n"


class PixelFile:
    """A .npy file of uint8 (n, R, R, 3) under construction.

    It is written to, not mapped: on a full disk a write fails with an error, while a store to a map kills the process.
    """

    def __init__(self, path: Path, count: int, resolution: int):
        self._row = resolution * resolution * 3
        self._resolution = resolution
        self._file = path.open("wb+", buffering=0)
        try:
            self._put(0, npy_header(count, resolution))
        except OSError:
            self._file.close()
            raise

    def __enter__(self) -> PixelFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def write(self, rows: Sequence[int], pixels: np.ndarray) -> None:
        """Put uint8 (k, R, R, 3) into the k `rows`, which are in rising order."""
        data = memoryview(cast(Any, np.ascontiguousarray(pixels).reshape(-1)))
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
        self._put(0, npy_header(count, self._resolution))
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


def pixel_digest(pixels: np.ndarray) -> bytes:
    """SHA-256 of a picture's pixels, uint8 (R, R, 3): equal for exact duplicates."""
    return hashlib.sha256(cast(Any, np.ascontiguousarray(pixels))).digest()


def content_checksum(resolution: int, classes: Sequence[str], splits: dict[str, tuple[np.ndarray, np.ndarray | None]]) -> str:
    """What a data set is, whatever its names and sources: of its resolution, classes and, in order, pixels and labels.

    Args:
        splits: of each the digests of its pictures, uint8 (n, 32), and the labels.
    """
    total = hashlib.sha256(json.dumps(["ganvas-dataset", 1, resolution, list(classes), list(splits)]).encode())
    for digests, labels in splits.values():
        total.update(len(digests).to_bytes(8, "little"))
        total.update(digests.tobytes())
        total.update(b"unlabelled" if labels is None else labels.astype("<i8").tobytes())
    return total.hexdigest()


def write_split(folder: Path, split: str, names: Sequence[str], labels: np.ndarray | None, sizes: np.ndarray | None) -> None:
    """The files beside a split's pixels: names and, where there are any, labels (int64) and sizes before packing (int32)."""
    with (folder / f"{split}.names.json").open("wb") as file:  # in parts: as one text, a million names take 100 MB
        for start in range(0, len(names), _NAMES_AT_ONCE):
            part = json.dumps(list(names[start : start + _NAMES_AT_ONCE]), separators=(",", ":"))
            file.write((("[" if start == 0 else ",") + part[1:-1]).encode())
        file.write(b"]" if len(names) else b"[]")
    if labels is not None:
        np.save(folder / f"{split}.labels.npy", labels.astype(np.int64), allow_pickle=False)
    if sizes is not None:
        np.save(folder / f"{split}.sizes.npy", sizes.astype(np.int32), allow_pickle=False)


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


def duplicates(splits: dict[str, tuple[Sequence[str], np.ndarray]]) -> list[tuple[str, str, str, str]]:
    """(split, name, split, name) of every picture whose pixels equal an earlier one's, and of the first such.

    Args:
        splits: the names and digests (uint8 (n, 32)) of each.
    """
    if not splits:
        return []
    digests = np.concatenate([digests for _, digests in splits.values()])
    starts = np.ascontiguousarray(digests[:, :8]).view(np.uint64).ravel()
    order = np.argsort(starts, kind="stable")
    equal = np.diff(starts[order]) == 0  # of most pictures no other begins alike: the table below holds the few others
    alike = np.sort(order[np.append(equal, False) | np.insert(equal, 0, False)])
    splits_of = [split for split, (names, _) in splits.items() for _ in names]
    names = list(chain.from_iterable(names for names, _ in splits.values()))
    first: dict[bytes, tuple[str, str]] = {}
    found = []
    for index in alike.tolist():
        split, name = splits_of[index], names[index]
        earlier = first.setdefault(digests[index].tobytes(), (split, name))
        if earlier != (split, name):
            found.append((split, name, *earlier))
    return found


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
