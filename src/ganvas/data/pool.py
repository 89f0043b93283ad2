"""Decode a plan's pictures on all cores, with bounded memory, into the pixel files of a data set."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from ganvas.data.decode import Rejected, Target, decode, one_at_a_time
from ganvas.data.layout import Plan, drop_empty_classes, shown
from ganvas.data.source import Item, Source
from ganvas.data.writer import PixelFile, pixel_digest
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
    """A chunk's pixels, uint8 (k, R, R, 3), the digest of each picture (None: rejected), reasons, and sizes, (k, 2)."""

    split: str
    rows: list[int]
    pixels: np.ndarray
    digests: list[bytes | None]
    rejected: list[tuple[str, str]]
    sizes: np.ndarray
    enlarged: int = 0


def decode_all(
    source: Source, made: Plan, aim: Target, folder: Path, rejected: list[tuple[str, str]], quiet: bool, threads: int
) -> tuple[dict[str, list[bytes]], dict[str, np.ndarray], int]:
    """Decode the plan's pictures into the folder's pixel files and take out of the plan those that failed.

    Returns:
        Of each split's pictures in order, the digests and the sizes (int32 (n, 2), width and height in their files), and
        how many pictures were enlarged.
    """
    found: dict[str, list[bytes | None]] = {split: [None] * len(pictures) for split, pictures in made.splits.items()}
    sizes = {split: np.zeros((len(pictures), 2), np.int32) for split, pictures in made.splits.items()}
    enlarged = 0
    total = sum(map(len, made.splits.values()))
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context(PixelFile(folder / f"{split}.npy", len(p), aim.resolution)) for split, p in made.splits.items()}
        progress = stack.enter_context(Progress(f"preparing {shown(source.given)}", total, quiet=quiet))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # Pillow's, on damaged metadata and large pictures: we judge these ourselves
        for done in _pooled(source, _chunks(source, made, aim.resolution), aim, threads):
            files[done.split].write(done.rows, done.pixels)
            for row, digest in zip(done.rows, done.digests, strict=True):
                found[done.split][row] = digest
            sizes[done.split][done.rows] = done.sizes
            rejected += done.rejected
            enlarged += done.enlarged
            progress.update(len(done.rows), f"{len(rejected):,} skipped" if rejected else "")
        for split, file in files.items():
            file.finish(np.array([digest is not None for digest in found[split]], dtype=bool))
    for split, pictures in list(made.splits.items()):
        made.splits[split] = [placed for placed, digest in zip(pictures, found[split], strict=True) if digest is not None]
        if not made.splits[split]:
            del made.splits[split]
            (folder / f"{split}.npy").unlink()
    drop_empty_classes(made, Counter(p.label for pictures in made.splits.values() for p in pictures if p.label is not None))
    kept = {split: [digest for digest in found[split] if digest is not None] for split in made.splits}
    return kept, {split: sizes[split][[digest is not None for digest in found[split]]] for split in made.splits}, enlarged


def _chunks(source: Source, made: Plan, resolution: int) -> Iterator[_Chunk]:
    """The plan's pictures in chunks: by name where the source allows it, else in the order in which it has them."""
    most = max(1, min(_CHUNK_PICTURES, _CHUNK_PIXEL_BYTES // (resolution**2 * 3)))
    place = {id(p.item): (split, row) for split, pictures in made.splits.items() for row, p in enumerate(pictures)}
    items = [p.item for pictures in made.splits.values() for p in pictures]
    pairs = source.stream(items) if source.sequential else ((item, None) for item in items)
    open_chunks: dict[str, _Chunk] = {}
    for item, data in pairs:
        split, row = place[id(item)]
        chunk = open_chunks.setdefault(split, _Chunk(split))
        chunk.rows.append(row)
        chunk.items.append(item)
        chunk.bytes += item.size
        if data is not None:
            chunk.data.append(data)
        if len(chunk.rows) >= most or chunk.bytes >= _CHUNK_SOURCE_BYTES:
            yield open_chunks.pop(split)
    yield from open_chunks.values()


def _pooled(source: Source, chunks: Iterator[_Chunk], aim: Target, threads: int) -> Iterator[_Decoded]:
    """The chunks, decoded, in order, with no more of them in memory than keep the threads busy.

    Threads, not processes: Pillow lets go of the interpreter while it decodes and resizes. Processes are a quarter
    faster on thumbnails of a kilobyte and no faster on photographs, and need a main guard in users' scripts.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[_Decoded]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_decode_chunk, source, chunk, aim))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode_chunk(source: Source, chunk: _Chunk, aim: Target) -> _Decoded:
    pixels = np.zeros((len(chunk.rows), aim.resolution, aim.resolution, 3), np.uint8)
    done = _Decoded(chunk.split, chunk.rows, pixels, [None] * len(chunk.rows), [], np.zeros((len(chunk.rows), 2), np.int32))
    for k, item in enumerate(chunk.items):
        try:
            if item.size == 0:
                raise Rejected("empty file")
            with one_at_a_time(item.size), BytesIO(chunk.data[k]) if chunk.data else source.open(item) as file:
                pixels[k], enlarged, width, height = decode(file, aim, item.box)
            done.digests[k] = pixel_digest(pixels[k])
            done.sizes[k] = width, height
            done.enlarged += enlarged
        except Rejected as error:
            done.rejected.append((item.name, str(error)))
        except OSError as error:
            done.rejected.append((item.name, f"can't be read: {error.strerror or error}"))
    return done
