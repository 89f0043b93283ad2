"""An ordinary zip, listed and read member by member: zipfile keeps half a kilobyte in memory for each of them.

Whatever is not ordinary, or not whole, is left to zipfile, whose judgement counts.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_SIGNATURE = b"PK\x06\x06"
_END64_LOCATOR = struct.Struct("<4sLQL")
_LONGEST_COMMENT = 0xFFFF
_BLOCK_BYTES = 2**20
_MOSTLY = 256
"""As many bytes as a name with its extra fields mostly has at most: read at once with what is beside it."""
_IS_LONG = 0xFFFFFFFF
"""Stands where the true number is in an extra field."""
_OTHER_NAME = b"up"
"""The mark of an extra field with another name, which some versions of zipfile prefer."""
_UTF8 = 0x800
_ORDINARY_FLAGS = _UTF8 | 0x8 | 0x6
"""Names in UTF-8, sizes also behind the data, and how hard it was compressed: what changes nothing for a reader."""
_NEWEST = 45
"""The version of the format that has long archives, and nothing that is newer."""


class NotOrdinary(Exception):
    """The archive, or a member, is for zipfile."""


class ZipDirectory:
    """An archive's members, by the place of their entries in its directory."""

    def __init__(self, path: Path):
        """Open an archive.

        Raises:
            NotOrdinary: it is damaged, or has something in front, in parts, or behind.
            OSError: it can't be read.
        """
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        try:
            self._start, self._end, self._count = self._find()
        except (NotOrdinary, OSError):
            self._file.close()
            raise

    def _find(self) -> tuple[int, int, int]:
        """Where the directory starts and ends, and how many entries it has."""
        size = self._file.seek(0, 2)
        tail_start = max(0, size - _LONGEST_COMMENT - _END.size - _END64_LOCATOR.size - _END64.size)
        tail = self._read(tail_start, size - tail_start)
        at = tail.rfind(_END_SIGNATURE)
        if at < 0 or len(tail) - at < _END.size:
            raise NotOrdinary
        _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, at)
        if disk or first_disk or here != count or len(tail) - at != _END.size + comment:
            raise NotOrdinary
        end = tail_start + at
        record = at - _END64_LOCATOR.size - _END64.size
        if record >= 0 and tail.startswith(_END64_SIGNATURE, record):
            _, _, _, _, disk, first_disk, here, count, length, start = _END64.unpack_from(tail, record)
            end = tail_start + record
            if disk or first_disk or here != count:
                raise NotOrdinary
        if start + length != end:
            raise NotOrdinary
        return start, end, count

    def __iter__(self) -> Iterator[tuple[int, ZipInfo]]:
        """Each member's place and description, in the directory's order, which is that of the members themselves.

        Raises:
            NotOrdinary: an entry is, one lies in another, or their number is not as told.
        """
        block, block_start, place, found, free = b"", self._start, self._start, 0, 0
        while place < self._end:
            if place - block_start + _ENTRY.size + 3 * 0xFFFF > len(block):  # the longest that an entry can be
                block, block_start = self._read(place, min(_BLOCK_BYTES, self._end - place)), place
            info, length = _parsed(block, place - block_start)
            if info.header_offset < free:
                raise NotOrdinary
            free = info.header_offset + _LOCAL.size + info.compress_size
            yield place, info
            place += length
            found += 1
        if place != self._end or found != self._count:
            raise NotOrdinary

    def describe(self, place: int) -> ZipInfo:
        """The member whose entry is at `place`. Raises NotOrdinary if the directory has changed since."""
        block = self._read(place, _ENTRY.size + _MOSTLY)
        if len(block) >= _ENTRY.size:
            more = _ENTRY.size + sum(_ENTRY.unpack_from(block)[12:15]) - len(block)
            if more > 0:
                block += self._read(place + len(block), more)
        return _parsed(block, 0)[0]

    def read(self, place: int) -> bytes:
        """The unpacked bytes of the member whose entry is at `place`.

        Raises:
            NotOrdinary: it is damaged.
        """
        info = self.describe(place)
        if info.header_offset + info.compress_size > self._start:
            raise NotOrdinary
        data = self._read(info.header_offset, _LOCAL.size + _MOSTLY + info.compress_size)
        if len(data) < _LOCAL.size or not data.startswith(_LOCAL_SIGNATURE):
            raise NotOrdinary
        *_, name_length, extra_length = _LOCAL.unpack_from(data)
        start = _LOCAL.size + name_length + extra_length
        if start + info.compress_size > len(data):
            data += self._read(info.header_offset + len(data), start + info.compress_size - len(data))
        name, data = data[_LOCAL.size : _LOCAL.size + name_length], data[start : start + info.compress_size]
        if _decoded(name, info.flag_bits) != info.orig_filename or len(data) != info.compress_size:
            raise NotOrdinary
        if info.compress_type == ZIP_DEFLATED:
            data = _inflated(data, info.file_size)
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise NotOrdinary
        return data

    def _read(self, place: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(place)
            return self._file.read(length)

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise NotOrdinary from error


def _inflated(data: bytes, size: int) -> bytes:
    """Unpacked to `size` bytes and no more."""
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unpacking.decompress(data, size + 1)
    except zlib.error as error:
        raise NotOrdinary from error
    if not unpacking.eof:
        raise NotOrdinary
    return found


def _parsed(block: bytes, at: int) -> tuple[ZipInfo, int]:
    """The entry at a place of a block, and its length."""
    if len(block) - at < _ENTRY.size:
        raise NotOrdinary
    fields = _ENTRY.unpack_from(block, at)
    signature, _, system, version, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length = fields[:15]
    disk, _, attributes, offset = fields[15:]
    length = _ENTRY.size + name_length + extra_length + comment_length
    name = block[at + _ENTRY.size : at + _ENTRY.size + name_length]
    extra = block[at + _ENTRY.size + name_length : at + length - comment_length]
    if _OTHER_NAME in extra or len(extra) != extra_length:
        raise NotOrdinary
    if signature != _ENTRY_SIGNATURE or len(name) != name_length or disk or _IS_LONG in (packed, size, offset):
        raise NotOrdinary
    if flags & ~_ORDINARY_FLAGS or method not in (ZIP_STORED, ZIP_DEFLATED) or version > _NEWEST:
        raise NotOrdinary
    info = ZipInfo(_decoded(name, flags))
    info.create_system, info.flag_bits, info.compress_type, info.external_attr = system, flags, method, attributes
    info.CRC, info.compress_size, info.file_size, info.header_offset = crc, packed, size, offset
    return info, length
