"""Pictures in LMDB, as LSUN ships them: `church_outdoor_train_lmdb/data.mdb`, whose values are WebP files.

The database is mapped, never read whole. A folder of several of them gives a split or a class for each.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from ganvas.data.decode import MAX_FILE_BYTES, Rejected
from ganvas.data.listing import Item
from ganvas.data.source import Source, file_fingerprint, looks_like_picture
from ganvas.errors import DataError, UsageError
from ganvas.progress import Progress

DATA = "data.mdb"
_MAGIC = bytes.fromhex("dec0efbe"), bytes.fromhex("beefc0de")
_NAME = re.compile(r"(?P<category>.+?)_(?P<split>train|val|test)(_lmdb)?", re.IGNORECASE)


def is_lmdb(path: Path) -> bool:
    """Whether a path is an LMDB: its file, its folder, or a folder with such folders."""
    return bool(_databases(path))


def _databases(path: Path) -> list[Path]:
    """The data files at a path, in order of their names."""
    if path.is_file():
        return [path] if _has_magic(path) else []
    if _has_magic(path / DATA):
        return [path / DATA]
    try:
        return sorted(entry / DATA for entry in path.iterdir() if entry.is_dir() and _has_magic(entry / DATA))
    except OSError:
        return []


def _has_magic(file: Path) -> bool:
    """Whether a file begins with LMDB's first meta page: a page header of 16 bytes, then the mark."""
    try:
        with file.open("rb") as opened:
            return opened.read(20)[16:] in _MAGIC
    except OSError:
        return False


def _prefixes(files: list[Path]) -> list[str]:
    """The folders that the names of each database's pictures begin with: `train/church_outdoor/`, as far as they differ."""
    if len(files) == 1:
        return [""]
    found = [_NAME.fullmatch(file.parent.name) for file in files]
    if all(found):
        parts = [(match["split"].lower(), match["category"]) for match in found if match]
        several = len({category for _, category in parts}) > 1
        return [f"{split}/{category}/" if several else f"{split}/" for split, category in parts]
    return [f"{file.parent.name}/" for file in files]


class LmdbSource(Source):
    """The values of one or more LMDBs that are picture files; each is named by its key."""

    kind = "lmdb"

    def __init__(self, given: str, path: Path, quiet: bool = False):
        super().__init__(given)
        self.path = path
        self._files = _databases(path)
        self._databases: list[Any] = []
        try:
            for file in self._files:
                self._databases.append(_open(file))
            with Progress(f"listing {path.name}", None, "pictures", quiet) as progress:
                for index, (prefix, database) in enumerate(zip(_prefixes(self._files), self._databases, strict=True)):
                    self._list(index, prefix, database, progress)
        except BaseException:
            self.close()
            raise
        self.items.sort()
        self.rejected.sort()

    def _list(self, index: int, prefix: str, database: Any, progress: Progress) -> None:
        import lmdb

        try:
            with database.begin(buffers=True) as view:
                for key, value in view.cursor():
                    progress.update()
                    self._sort_in(prefix + _name(bytes(key)), index, bytes(key), value)
        except lmdb.Error as error:
            raise _damaged(self._files[index], error) from error

    def _sort_in(self, name: str, index: int, key: bytes, value: memoryview) -> None:
        if not looks_like_picture(bytes(value[:16])):
            self.rejected.append((name, "the value of this key is no picture file"))
        elif len(value) > MAX_FILE_BYTES:
            self.rejected.append((name, "larger than a picture file may be"))
        else:
            self.items.append(Item(name, len(value), (index, key)))

    def fingerprint(self) -> str:
        """Of the data files' paths, sizes and times."""
        return hashlib.sha256(" ".join(map(file_fingerprint, self._files)).encode()).hexdigest()

    def open(self, item: Item) -> BufferedIOBase:
        """A copy of one value."""
        import lmdb

        index, key = item.where
        try:
            with self._databases[index].begin(buffers=True) as view:
                return io.BytesIO(view.get(key))
        except lmdb.Error as error:
            raise Rejected(f"damaged in the database: {error}") from error

    def close(self) -> None:
        """Let go of the databases."""
        for database in self._databases:
            database.close()


def _name(key: bytes) -> str:
    """A key as a file name without folders; bytes that are no text are written in hexadecimal."""
    text = key.decode("utf-8", "replace")
    return text.replace("/", "_").replace("\\", "_") if text.isprintable() and "\ufffd" not in text else key.hex()


def _open(file: Path) -> Any:
    """A database, opened to be read and in no way written to: no lock file is made.

    Raises:
        UsageError: the package lmdb is missing.
        DataError: it can't be opened, or its file is shorter than it says, which mapping it would not survive.
    """
    try:
        import lmdb
    except ImportError as error:
        raise UsageError(f"{file} is an LMDB, and the package lmdb that reads it is missing: pip install 'ganvas[lmdb]'") from error
    try:
        database = lmdb.open(str(file), subdir=False, readonly=True, lock=False, readahead=False, create=False, max_readers=1024)
    except (lmdb.Error, OSError) as error:
        raise _damaged(file, error) from error
    needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    if os.path.getsize(file) < needed:
        database.close()
        raise _damaged(file, f"it has {os.path.getsize(file):,} bytes of {needed:,}")
    return database


def _damaged(file: Path, what: object) -> DataError:
    return DataError(f"{file} is damaged ({what}): expected a whole LMDB; copy or download it again")
