"""What a source of pictures is, seen as names and bytes, and the commonest: a folder, and a zip.

Nothing is ever extracted to disk. A source lists its files once, sorts out what is no picture, and then gives the
bytes of any picture; the same pictures as a folder, a zip and a tar make the same data set.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from ganvas.data.decode import MAX_FILE_BYTES, Rejected
from ganvas.data.listing import Item, Listing
from ganvas.data.zip_directory import NotOrdinary, ZipDirectory
from ganvas.errors import DataError
from ganvas.progress import Progress
from ganvas.units import format_bytes

BOMB_RATIO = 250
"""A file that unpacks to more than this many times its packed size is a bomb, once it is over `BOMB_FLOOR` bytes."""
BOMB_FLOOR = 64 * 2**20

PICTURES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif"})
# fmt: off
_UNREADABLE = frozenset({
    ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".svg", ".psd", ".xcf", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".eps",
    ".tga", ".exr", ".hdr",
})
_NO_PICTURES = frozenset({
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf", ".log", ".ini",
    ".cfg", ".toml", ".py", ".ipynb", ".sh", ".bat", ".mat", ".npy", ".npz", ".pkl", ".pt", ".pth", ".h5", ".hdf5", ".lmdb",
    ".mdb", ".db", ".sqlite", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".mp3", ".mp4", ".mov", ".avi",
    ".mkv", ".webm", ".wav", ".parquet", ".arrow", ".doc", ".docx", ".xls", ".xlsx", ".url", ".lnk",
})
# fmt: on
_MAY_HOLD_PICTURES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".mdb", ".lmdb", ".parquet", ".arrow"})
_JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def junk(name: str) -> bool:
    """Whether a name is of the kind that systems leave behind: hidden, `__MACOSX`, `Thumbs.db`."""
    return any(part.startswith(".") or part.lower() in _JUNK_NAMES for part in name.split("/"))


def looks_like_picture(head: bytes) -> bool:
    """Whether a file's first 16 bytes are those of a picture, for files whose suffix says nothing."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head.startswith(b"BM") and head[6:10] == b"\0\0\0\0")
        or head[4:12] == b"ftypavif"
    )


class Source(ABC):
    """Pictures to prepare.

    Attributes:
        kind: "folder", "zip", "tar", "builtin", "cifar", "lmdb", "arrow" or "parquet".
        items: the pictures, sorted by name, after a single wrapping folder has been taken off the names.
        rejected: (name, reason) of pictures that can't be used, as far as the listing shows it.
        ignored: how many other files there are.
        sequential: the bytes can only be had in order, by `stream`; otherwise `open` gives any, from any thread.
        attribution: whom to credit, where the licence asks for it.
        packed: a name among the ignored that may well hold pictures: an archive in the archive, a database.
    """

    kind: str
    sequential = False
    attribution: str | None = None
    packed: str | None = None

    def __init__(self, given: str):
        self.given = given
        self.items = Listing()
        self.rejected: list[tuple[str, str]] = []
        self.ignored = 0

    @abstractmethod
    def fingerprint(self) -> str:
        """What tells this source from any other, and from itself after a change, without reading pictures."""

    def open(self, item: Item) -> BufferedIOBase:
        """The bytes of a picture, seekable. Raises Rejected or OSError where they can't be had: in a sequential source, never."""
        raise io.UnsupportedOperation(f"{self.given} gives its pictures in order only, by stream()")

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
        """Which of `items`, and its bytes, in the order in which a sequential source has them. One that fails yields no bytes."""
        for index, item in enumerate(items):
            try:
                with self.open(item) as file:
                    data = file.read()
            except (Rejected, OSError):
                data = b""
            yield index, data

    def group(self, item: Item) -> str:
        """What a picture is a variant of: pictures of one group are held out of training together."""
        return item.name

    def close(self) -> None:
        """Let go of open files, where there are any."""
        return

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, name: str, size: int, where: Any) -> None:
        """Sort a file in: picture, rejected, or none of our business."""
        name = name.replace("\\", "/")
        suffix = os.path.splitext(name)[1].lower()
        if junk(_safe_parts(name)):
            self.ignored += 1
        elif suffix in _UNREADABLE:
            self.rejected.append((name, f"format {suffix} can't be read"))
        elif suffix in _NO_PICTURES:
            self.ignored += 1
            if suffix in _MAY_HOLD_PICTURES:
                self.packed = self.packed or name
        elif self.kind in ("zip", "tar") and _unsafe(name):
            self.rejected.append((name, "unsafe name: it leads out of the archive"))
        elif suffix not in PICTURES and not self._sniff(where):
            self.ignored += 1
        elif size > MAX_FILE_BYTES:
            self.rejected.append((name, f"larger than {format_bytes(MAX_FILE_BYTES)}"))
        else:
            self.items.append(Item(_normal(name), size, where))

    def _sniff(self, where: Any) -> bool:
        """Whether the file at `where`, whose suffix says nothing, starts like a picture."""
        try:
            with self.open(Item("", 0, where)) as file:
                return looks_like_picture(file.read(16))
        except (Rejected, OSError):
            return False

    def _settle(self) -> None:
        """Unwrap, sort, and keep the last of files of one name, as unpacking would."""
        self.items.sort(unique=True)
        prefix = _wrapping(self.items[0].name, self.items[-1].name) if self.items else ""
        self.items.shorten(len(prefix))
        self.rejected = sorted((name.removeprefix(prefix), reason) for name, reason in self.rejected)


def _safe_parts(name: str) -> str:
    """The name without the dots that mean a folder, so that `../a.jpg` counts as unsafe and not as hidden."""
    return "/".join(part for part in name.split("/") if part not in (".", ".."))


def _normal(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _unsafe(name: str) -> bool:
    return name.startswith("/") or re.match(r"[A-Za-z]:/", name) is not None or ".." in name.split("/")


SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "test1"), "test"),
}
"""Top-level folders that are splits, in lower case, and what they are called in a data set."""


def _wrapping(first: str, last: str) -> str:
    """The folders that hold everything, one inside the other, with a slash; a split's folder is none of them.

    Folders that the first and the last of the sorted names share are those of all names between.
    """
    parts: list[str] = []
    for one, other in zip(first.split("/")[:-1], last.split("/")[:-1], strict=False):
        if one != other or one.lower() in SPLIT_FOLDERS:
            break
        parts.append(one)
    return "".join(f"{part}/" for part in parts)


class FolderSource(Source):
    """Pictures below a folder; links are followed, once."""

    kind = "folder"

    def __init__(self, given: str, path: Path, quiet: bool = False):
        super().__init__(given)
        self.path = path
        self._listing = hashlib.sha256(str(path).encode("utf-8", "surrogateescape"))
        seen: set[tuple[int, int]] = set()
        with Progress(f"listing {path.name}", None, "files", quiet) as progress:
            self._walk(path, "", seen, progress)
        self._settle()

    def _walk(self, folder: Path, prefix: str, seen: set[tuple[int, int]], progress: Progress) -> None:
        try:
            here = os.stat(folder)
            names = Listing(Item(name, 0, None) for name in _names(folder))
        except OSError as error:
            if not prefix:
                raise DataError(f"{folder} can't be read ({error.strerror}); check its permissions") from error
            self.rejected.append((prefix, f"folder can't be read: {error.strerror}"))
            return
        if (here.st_dev, here.st_ino) in seen and here.st_ino:
            return
        seen.add((here.st_dev, here.st_ino))
        names.sort()
        for own in (entry.name for entry in names):
            path, name = os.path.join(folder, own), prefix + own
            try:
                info = os.stat(path)
            except OSError as error:
                if os.path.splitext(name)[1].lower() in PICTURES and not junk(name):
                    self.rejected.append((name, f"can't be read: {error.strerror}"))
                continue
            if stat.S_ISDIR(info.st_mode):
                if not junk(own):
                    self._walk(Path(path), f"{name}/", seen, progress)
                continue
            progress.update()
            if not stat.S_ISREG(info.st_mode):
                self.ignored += 1
                continue
            self._listing.update(f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            self._add(name, info.st_size, path)

    def fingerprint(self) -> str:
        """Of the names, sizes and times of all files."""
        return self._listing.hexdigest()

    def open(self, item: Item) -> BufferedIOBase:
        """The file itself."""
        return open(item.where, "rb")


def _names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries)


class ZipSource(Source):
    """Pictures in a zip file."""

    kind = "zip"

    def __init__(self, given: str, path: Path):
        super().__init__(given)
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._directory: ZipDirectory | None = None
        self._lock = threading.Lock()
        try:
            self._directory = ZipDirectory(path)
            locked = self._list(self._directory)
        except NotOrdinary:
            if self._directory is not None:
                self._directory.close()
            self._directory, self.items, self.rejected, self.ignored, self.packed = None, Listing(), [], 0, None
            locked = self._list(enumerate(self._slowly().infolist()))
        if locked and not self.items:
            self.close()
            raise DataError(f"{path} is encrypted: expected a zip file that opens without a password; unpack it and give the folder")
        self._settle()

    def _slowly(self) -> zipfile.ZipFile:
        """The archive as zipfile sees it, whose judgement counts where anything is out of the ordinary."""
        with self._lock:
            if self._zip is None:
                try:
                    self._zip = zipfile.ZipFile(self.path)
                except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
                    raise DataError(f"{self.path} is damaged ({error}): expected a whole zip file; copy or download it again") from error
            return self._zip

    def _list(self, members: Iterable[tuple[Any, zipfile.ZipInfo]]) -> int:
        """Sort the members in, by where each is to be found; how many are encrypted."""
        locked = 0
        for where, info in members:
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                self.ignored += 1
            elif info.flag_bits & 1:
                locked += 1
                self.rejected.append((_normal(info.filename), "encrypted"))
            elif info.file_size > max(BOMB_FLOOR, BOMB_RATIO * info.compress_size):
                self.rejected.append(
                    (_normal(info.filename), f"unpacks to {format_bytes(info.file_size)}, over {BOMB_RATIO} times its size in the archive")
                )
            else:
                self._add(info.filename, info.file_size, where)
        return locked

    def fingerprint(self) -> str:
        """Of its path, size and time."""
        return file_fingerprint(self.path)

    def open(self, item: Item) -> BufferedIOBase:
        """The unpacked bytes; what is read never exceeds the size that the listing gave."""
        if self._directory is not None:
            with contextlib.suppress(NotOrdinary):
                return io.BytesIO(self._directory.read(item.where))
        try:
            with self._slowly().open(self._described(item.where)) as member:
                return io.BytesIO(member.read(MAX_FILE_BYTES + 1))
        except OSError:
            raise
        except Exception as error:  # zipfile and its decompressors raise a dozen kinds on damaged members
            raise Rejected(f"damaged in the archive: {error}") from error

    def _described(self, where: int) -> zipfile.ZipInfo:
        """zipfile's own description of a member, which also tells where the next one starts, by which zipfile judges."""
        members = self._slowly().infolist()
        if self._directory is None:
            return members[where]
        start = self._directory.describe(where).header_offset
        return next(info for info in members if info.header_offset == start)

    def close(self) -> None:
        """Close the archive."""
        for opened in (self._zip, self._directory):
            if opened is not None:
                opened.close()


def file_fingerprint(path: Path) -> str:
    """What tells a file from others and from itself after a change: path, size, time of change."""
    info = path.stat()
    return hashlib.sha256(f"{path}\0{info.st_size}\0{info.st_mtime_ns}".encode("utf-8", "surrogateescape")).hexdigest()
