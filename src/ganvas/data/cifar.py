"""CIFAR-10 and CIFAR-100 as their owners ship them: pickled batches, in `cifar-10-python.tar.gz` or unpacked from it."""

from __future__ import annotations

import hashlib
import re
import struct
import tarfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.data import pickles
from ganvas.data.listing import Item
from ganvas.data.source import Source, file_fingerprint
from ganvas.data.tar import TarSource
from ganvas.errors import DataError, UsageError, nearest
from ganvas.progress import Progress

SIDE = 32
MAX_BATCH_BYTES = 512 * 2**20
"""Larger batches are refused; those of CIFAR-100, the largest, have 155 MB."""

_BATCH = re.compile(r"data_batch_\d+|test_batch|train|test")
_META = ("batches.meta", "meta")
_NAMES = {b"labels": b"label_names", b"fine_labels": b"fine_label_names", b"coarse_labels": b"coarse_label_names"}
_CHOICES = {"fine": b"fine_labels", "coarse": b"coarse_labels"}
# A bitmap's header: file and picture headers, 32 x 32 pixels of 24 bits, bottom row first.
_BMP = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + 3 * SIDE**2, 0, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 3 * SIDE**2, 2835, 2835, 0, 0)


def is_cifar_folder(path: Path) -> bool:
    """Whether a folder is that of the unpacked archive, or holds it and nothing else."""
    return _folder(path) is not None


def _folder(path: Path) -> Path | None:
    for folder in (path, path / "cifar-10-batches-py", path / "cifar-100-python"):
        if any((folder / name).is_file() for name in _META) and any(
            (folder / n).is_file() for n in ("data_batch_1", "test_batch", "train")
        ):
            return folder
    return None


def is_cifar_tar(path: Path) -> bool:
    """Whether one of the first files in a tar is a batch of CIFAR, by its name and its first bytes."""
    with suppress(tarfile.TarError, OSError, EOFError, ValueError), tarfile.open(path) as tar:
        for _ in range(4):
            member = tar.next()
            if member is None:
                return False
            name = member.name.rpartition("/")[2]
            if member.isreg() and (_BATCH.fullmatch(name) or name in _META):
                file = tar.extractfile(member)
                return file is not None and file.read(1) in (b"\x80", b"(", b"}")
    return False


class _Batches(TarSource):
    """The batches in the archive, as a source lists pictures: what is larger than any is not read."""

    def _add(self, name: str, size: int, where: Any) -> None:
        last = name.rpartition("/")[2]
        if (_BATCH.fullmatch(last) or last in _META) and size <= MAX_BATCH_BYTES:
            self.items.append(Item(last, size, where))
        else:
            self.ignored += 1


class CifarSource(Source):
    """CIFAR's pictures as `train/<class>/<batch>-<row>`, handed on as bitmaps, so that they go the way of all pictures.

    One batch is in memory at a time.

    Args:
        labels: "fine" or "coarse" of CIFAR-100; None: fine.
    """

    kind = "cifar"
    sequential = True

    def __init__(self, given: str, path: Path, labels: str | None = None, quiet: bool = False):
        super().__init__(given)
        self.path = path
        self._folder = _folder(path) if path.is_dir() else None
        self._tar = None if self._folder is not None else _Batches(given, path, quiet)
        self.ignored = 0 if self._tar is None else self._tar.ignored
        found: dict[str, list[int]] = {}
        named: dict[bytes, list[str]] = {}
        key = b"labels"
        with Progress(f"reading {path.name}", None, "batches", quiet) as progress:
            for name, content in self._read():
                progress.update()
                if name in _META:
                    named = {what: [_text(entry) for entry in content.get(what, ())] for what in _NAMES.values()}
                else:
                    key = self._which(content, labels)
                    found[name] = self._labels(name, content, key)
        if not found:
            raise DataError(f"{given} holds no batches: expected those of CIFAR-10 or CIFAR-100; copy or download it again")
        for name, indices in found.items():
            self._list(name, indices, named.get(_NAMES[key], []))
        self.items.sort()

    def _read(self, wanted: Collection[str] | None = None) -> Iterator[tuple[str, dict[Any, Any]]]:
        """Name and content of each file, one at a time.

        Raises:
            DataError: one is damaged, or is no batch, or a pickle that asks for more than data.
        """
        if self._tar is not None:
            items = [item for item in self._tar.items if wanted is None or item.name in wanted]
            files = ((items[index].name, data) for index, data in self._tar.stream(items))
        else:
            files = self._unpacked(wanted)
        for name, data in files:
            try:
                content = pickles.read(data)
            except pickles.Refused as error:
                raise self._damaged(name, str(error)) from error
            if not isinstance(content, dict):
                raise self._damaged(name, "it holds no table")
            yield name, content

    def _unpacked(self, wanted: Collection[str] | None) -> Iterator[tuple[str, bytes]]:
        assert self._folder is not None
        for file in sorted(self._folder.iterdir()):
            named = _BATCH.fullmatch(file.name) or file.name in _META
            if not named or not file.is_file() or (wanted is not None and file.name not in wanted):
                self.ignored += wanted is None
                continue
            if file.stat().st_size > MAX_BATCH_BYTES:
                raise self._damaged(file.name, "it is larger than any batch")
            yield file.name, file.read_bytes()

    def _which(self, content: dict[Any, Any], labels: str | None) -> bytes:
        """The key of the labels that were asked for."""
        there = {word: key for word, key in _CHOICES.items() if key in content}
        if labels is None:
            return next(iter(there.values()), b"labels")
        if not there:
            raise UsageError(f"{self.given} has no labels to choose from: expected no --labels; leave it out")
        if labels not in there:
            raise UsageError(f'{self.given} has no labels "{labels}"{nearest(labels, there)} (it has {", ".join(there)})')
        return there[labels]

    def _labels(self, name: str, content: dict[Any, Any], key: bytes) -> list[int]:
        """The labels of a batch, checked against its pixels."""
        self._pixels(name, content)
        labels = content.get(key)
        if isinstance(labels, np.ndarray):
            labels = labels.tolist()
        if not isinstance(labels, list) or not all(isinstance(label, int) and label >= 0 for label in labels):
            raise self._damaged(name, f"it has no list of {key.decode()}")
        if len(labels) != len(content[b"data"]):
            raise self._damaged(name, f"it has {len(content[b'data']):,} pictures and {len(labels):,} labels")
        return labels

    def _pixels(self, name: str, content: dict[Any, Any]) -> np.ndarray:
        """uint8 (n, 3, 32, 32) of a batch."""
        data = content.get(b"data")
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * SIDE**2:
            raise self._damaged(name, f"it holds no pictures of {SIDE} x {SIDE} pixels")
        return data.reshape(-1, 3, SIDE, SIDE)

    def _list(self, batch: str, labels: list[int], named: list[str]) -> None:
        split = "test" if batch in ("test", "test_batch") else "train"
        for row, label in enumerate(labels):
            folder = named[label] if label < len(named) and named[label] else str(label)
            self.items.append(Item(f"{split}/{folder}/{batch}-{row:05}", len(_BMP) + 3 * SIDE**2, (batch, row)))

    def _damaged(self, name: str, what: str) -> DataError:
        return DataError(f"{self.given} can't be used ({name}: {what}): expected CIFAR as it is shipped; download it again")

    def fingerprint(self) -> str:
        """Of the archive's path, size and time, or those of the batches."""
        files = [self.path] if self._folder is None else [f for f in sorted(self._folder.iterdir()) if f.is_file()]
        return hashlib.sha256(" ".join(map(file_fingerprint, files)).encode()).hexdigest()

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
        """Each picture as a bitmap, batch by batch."""
        wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for index, item in enumerate(items):
            batch, row = item.where
            wanted[batch].append((index, row))
        for name, content in self._read(wanted):
            pixels = self._pixels(name, content)
            for index, row in wanted[name]:
                yield index, _BMP + pixels[row, ::-1, ::-1].transpose(1, 2, 0).tobytes()

    def close(self) -> None:
        """Close the archive."""
        if self._tar is not None:
            self._tar.close()


def _text(name: Any) -> str:
    """A class's name, fit to be that of a folder."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    return text.replace("/", "-").replace("\\", "-").strip(". ")
