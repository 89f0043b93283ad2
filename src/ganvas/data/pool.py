"""Decode a plan's pictures on all cores, with bounded memory, into the pixel files of a data set."""

from __future__ import annotations

import contextlib
import os
import warnings
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from itertools import accumulate
from pathlib import Path

import numpy as np

from ganvas.data.decode import Rejected, Target, decode, one_at_a_time
from ganvas.data.lanczos import Lanczos
from ganvas.data.layout import Plan, drop_empty_classes, shown
from ganvas.data.listing import Item
from ganvas.data.source import Source
from ganvas.data.writer import DIGEST_BYTES, Digests, RowFile, pixel_digest
from ganvas.progress import Progress

_CHUNK_PICTURES = 64
_CHUNK_SOURCE_BYTES = 16 * 2**20
_CHUNK_PIXEL_BYTES = 4 * 2**20


def thread_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Chunk:
    """Some pictures of one split, in rising rows, small enough to be held in memory."""

    split: str
    rows: list[int] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    bytes: int = 0


@dataclass
class _Decoded:
    """A chunk's pixels, uint8 (k, R, R, 3), the digest of each picture, uint8 (k, 32), whether it is kept, reasons, and sizes, (k, 2)."""

    split: str
    rows: list[int]
    pixels: np.ndarray
    digests: np.ndarray
    kept: np.ndarray
    rejected: list[tuple[str, str]]
    sizes: np.ndarray
    enlarged: int = 0


def decode_all(
    source: Source,
    made: Plan,
    aim: Target,
    folder: Path,
    rejected: list[tuple[str, str]],
    quiet: bool,
    threads: int,
    lanczos: Lanczos | None = None,
) -> int:
    """Decode the plan's pictures and take out of the plan those that failed.

    Of each split's pictures in order, the folder then has the pixels, `<split>.npy` (uint8 (n, R, R, 3)), the sizes in
    their files, `<split>.sizes.npy` (int32 (n, 2), width and height), and the digests (`Digests`).

    Returns:
        How many pictures were enlarged.
    """
    kept = {split: np.zeros(len(pictures), dtype=bool) for split, pictures in made.splits.items()}
    enlarged = 0
    total = sum(map(len, made.splits.values()))
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context(_Files(folder, split, len(p), aim.resolution)) for split, p in made.splits.items()}
        progress = stack.enter_context(Progress(f"preparing {shown(source.given)}", total, quiet=quiet))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # Pillow's, on damaged metadata and large pictures: we judge these ourselves
        for done in _pooled(source, _chunks(source, made, aim.resolution), aim, threads, lanczos):
            files[done.split].write(done)
            kept[done.split][done.rows] = done.kept
            rejected += done.rejected
            enlarged += done.enlarged
            progress.update(len(done.rows), f"{len(rejected):,} skipped" if rejected else "")
        for split, file in files.items():
            file.finish(kept[split])
    for split, pictures in list(made.splits.items()):
        if not kept[split].any():
            del made.splits[split]
            files[split].unlink()
        elif not kept[split].all():
            made.splits[split] = pictures.some(kept[split])
    drop_empty_classes(made)
    return enlarged


class _Files:
    """The files of a split that are written while pictures are decoded."""

    def __init__(self, folder: Path, split: str, count: int, resolution: int):
        self._paths = [folder / f"{split}.npy", folder / f"{split}.sizes.npy", Digests(folder).path(split)]
        with contextlib.ExitStack() as stack:
            self._pixels = stack.enter_context(RowFile(self._paths[0], count, (resolution, resolution, 3)))
            self._sizes = stack.enter_context(RowFile(self._paths[1], count, (2,), "<i4"))
            self._digests = stack.enter_context(Digests(folder).file(split, count))
            self._stack = stack.pop_all()

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, done: _Decoded) -> None:
        self._pixels.write(done.rows, done.pixels)
        self._sizes.write(done.rows, done.sizes)
        self._digests.write(done.rows, done.digests)

    def finish(self, kept: np.ndarray) -> None:
        """Close the gaps that bool (n,) `kept` says there are."""
        for file in (self._pixels, self._sizes, self._digests):
            file.finish(kept)

    def unlink(self) -> None:
        for path in self._paths:
            path.unlink()


def _chunks(source: Source, made: Plan, resolution: int) -> Iterator[_Chunk]:
    """The plan's pictures in chunks: by name where the source allows it, else in the order in which it has them."""
    most = max(1, min(_CHUNK_PICTURES, _CHUNK_PIXEL_BYTES // (resolution**2 * 3)))
    open_chunks: dict[str, _Chunk] = {}
    for split, row, item, data in _ordered(source, made):
        chunk = open_chunks.setdefault(split, _Chunk(split))
        chunk.rows.append(row)
        chunk.items.append(item)
        chunk.bytes += item.size
        if data is not None:
            chunk.data.append(data)
        if len(chunk.rows) >= most or chunk.bytes >= _CHUNK_SOURCE_BYTES:
            yield open_chunks.pop(split)
    yield from open_chunks.values()


def _ordered(source: Source, made: Plan) -> Iterator[tuple[str, int, Item, bytes | None]]:
    """Split, row and item of each picture, with its bytes where the source has them in its own order only."""
    if not source.sequential:
        yield from ((split, row, item, None) for split, pictures in made.splits.items() for row, item in enumerate(pictures))
        return
    items = [item for pictures in made.splits.values() for item in pictures]  # in the source's order they come at random
    splits = list(made.splits)
    starts = list(accumulate(map(len, made.splits.values()), initial=0))
    for index, data in source.stream(items):
        split = bisect_right(starts, index) - 1
        yield splits[split], index - starts[split], items[index], data


def _pooled(source: Source, chunks: Iterator[_Chunk], aim: Target, threads: int, lanczos: Lanczos | None) -> Iterator[_Decoded]:
    """The chunks, decoded, in order, with no more of them in memory than keep the threads busy.

    Threads, not processes: these would need a main guard in users' scripts, and most of the work lets go of the
    interpreter: decoding (`jpeg.py`, and Pillow's own), resizing (`lanczos.py`) and digests.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[_Decoded]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_decode_chunk, source, chunk, aim, lanczos))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode_chunk(source: Source, chunk: _Chunk, aim: Target, lanczos: Lanczos | None) -> _Decoded:
    count = len(chunk.rows)
    pixels = np.zeros((count, aim.resolution, aim.resolution, 3), np.uint8)
    digests, kept = np.zeros((count, DIGEST_BYTES), np.uint8), np.zeros(count, dtype=bool)
    done = _Decoded(chunk.split, chunk.rows, pixels, digests, kept, [], np.zeros((count, 2), np.int32))
    for k, item in enumerate(chunk.items):
        try:
            if item.size == 0:
                raise Rejected("empty file")
            with one_at_a_time(item.size), BytesIO(chunk.data[k]) if chunk.data else source.open(item) as file:
                pixels[k], enlarged, width, height = decode(file, aim, item.box, lanczos)
            digests[k] = np.frombuffer(pixel_digest(pixels[k]), np.uint8)
            kept[k] = True
            done.sizes[k] = width, height
            done.enlarged += enlarged
        except Rejected as error:
            done.rejected.append((item.name, str(error)))
        except OSError as error:
            done.rejected.append((item.name, f"can't be read: {error.strerror or error}"))
    return done
