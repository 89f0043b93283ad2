"""Pictures in a tar archive, read in place: at random where it is plain, in order where it is compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

from ganvas.data.decode import MAX_FILE_BYTES, Rejected
from ganvas.data.listing import Item
from ganvas.data.source import BOMB_FLOOR, BOMB_RATIO, Source, file_fingerprint, looks_like_picture
from ganvas.errors import DataError
from ganvas.progress import Progress

_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, gzip.BadGzipFile)
_MAGIC = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class _Bomb(Exception):
    """The archive unpacks to far more than it can honestly hold."""


class _Bounded(io.RawIOBase):
    """A reader that refuses to go further than `limit` bytes, or to read a whole lot of them at once."""

    def __init__(self, file: Any, limit: int):
        self._file, self._limit = file, limit

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_FILE_BYTES + tarfile.RECORDSIZE:
            raise _Bomb
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def _check(self, position: int) -> None:
        if position > self._limit + 2 * tarfile.RECORDSIZE:
            raise _Bomb


def _opener(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(6)
    return next((opener for magic, opener in _MAGIC.items() if head.startswith(magic)), None)


def is_tar(path: Path) -> bool:
    """Whether a file is a tar, plain or compressed by gzip, bzip2 or xz (damaged or not)."""
    opener = _opener(path)
    try:
        with (opener or open)(path, "rb") as file:
            head = file.read(512)
    except (*_DAMAGED, OSError):
        return opener is not None and ".t" in path.name.lower()  # a .tgz that is damaged deserves that message
    return head[257:262] == b"ustar" or (len(head) == 512 and _old_tar(head))


def _old_tar(head: bytes) -> bool:
    """Whether a first block without the POSIX mark carries a right checksum."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class TarSource(Source):
    """Pictures in a tar; links, devices and sparse files in it are ignored."""

    kind = "tar"

    def __init__(self, given: str, path: Path, quiet: bool = False):
        super().__init__(given)
        self.path = path
        opener = _opener(path)
        self.sequential = opener is not None
        self._open_file = opener or open
        self._lock = threading.Lock()
        packed = path.stat().st_size
        self._limit = max(BOMB_FLOOR, BOMB_RATIO * packed) if self.sequential else sys.maxsize
        self._current: tuple[tarfile.TarFile, tarfile.TarInfo] | None = None
        with Progress(f"listing {path.name}", None, "files", quiet) as progress:
            for number, tar, member in self._members():
                progress.update()
                if not member.isreg() or member.issparse():
                    self.ignored += not member.isdir()
                    continue
                self._current = tar, member
                self._add(member.name, member.size, number if self.sequential else (member.offset_data, member.size))
        self._current = None
        self._file = None if self.sequential else path.open("rb")
        self._settle()

    def _members(self) -> Iterator[tuple[int, tarfile.TarFile, tarfile.TarInfo]]:
        """Each member with its number, forgetting the last, so that memory does not grow with the archive."""
        try:
            with (
                cast(Any, self._open_file)(self.path, "rb") as file,
                tarfile.open(fileobj=cast(Any, _Bounded(file, self._limit)), mode="r:", errorlevel=0) as tar,
            ):
                number = 0
                while (member := tar.next()) is not None:
                    yield number, tar, member
                    cast(Any, tar).members.clear()
                    number += 1
                self._check_end(tar)
        except _Bomb:
            raise DataError(
                f"{self.path} unpacks to more than {BOMB_RATIO} times its size, or claims to hold a file of absurd size: "
                "expected an honest archive; if it is one, unpack it and give the folder"
            ) from None
        except (*_DAMAGED, OSError) as error:
            raise DataError(f"{self.path} is damaged ({error}): expected a whole tar archive; copy or download it again") from error

    def _check_end(self, tar: tarfile.TarFile) -> None:
        """An archive that was cut off at a member's edge ends without a block of zeros."""
        file = cast(Any, tar.fileobj)
        file.seek(tar.offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError("something that is no tar header follows")

    def _sniff(self, where: Any) -> bool:
        if self._current is None:
            return False
        tar, member = self._current  # where the listing is; of a compressed tar its bytes can't be had later without starting over
        file = tar.extractfile(member)
        return file is not None and looks_like_picture(file.read(16))

    def fingerprint(self) -> str:
        """Of its path, size and time."""
        return file_fingerprint(self.path)

    def open(self, item: Item) -> BufferedIOBase:
        """The bytes at their place in a plain tar."""
        if self._file is None:
            return super().open(item)
        offset, size = item.where
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) < size:
            raise Rejected("truncated")
        return io.BytesIO(data)

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
        """The bytes of `items` in the archive's order."""
        if self._file is not None:
            yield from super().stream(items)
            return
        wanted = {item.where: index for index, item in enumerate(items)}
        last = max(wanted, default=-1)
        for number, tar, member in self._members():
            index = wanted.get(number)
            if index is not None:
                file = tar.extractfile(member)
                yield index, file.read() if file is not None else b""
            if number >= last:
                return

    def close(self) -> None:
        """Close the archive."""
        if self._file is not None:
            self._file.close()
