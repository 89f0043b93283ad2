"""Pictures of any generator to be scored: read from where they are at their own size, never packed."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np

from ganvas.data.decode import Rejected, decode_whole, one_at_a_time
from ganvas.data.layout import plan, shown
from ganvas.data.listing import Item
from ganvas.data.opening import open_source
from ganvas.data.packed import is_packed, open_packed
from ganvas.data.pool import thread_count
from ganvas.data.source import Source
from ganvas.errors import DataError, UsageError
from ganvas.rng import permutation

Sized = tuple[np.ndarray, np.ndarray | None]
"""uint8 (b, H, W, 3) and int64 (b,) class indices, or None."""

_BATCH = 64
_WAITING_BYTES = 256 * 2**20


class Given(ABC):
    """Pictures that were given. What was found out of them is complete once `batches` has been read to its end.

    Attributes:
        path: what was named.
        kind: "folder", "zip", ..., "packed" or "array".
        found: how many pictures there are.
        classes: their classes' names; empty where they have none.
        sizes: how many pictures have which (width, height), so far.
        rejected: (name, reason) of those that could not be read, so far.
        cropped: how many were cut to a square, so far.
    """

    def __init__(self, path: str, kind: str, found: int, classes: Sequence[str] = ()):
        self.path, self.kind, self.found, self.classes = path, kind, found, tuple(classes)
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.rejected: list[tuple[str, str]] = []
        self.cropped = 0

    def side(self) -> int:
        """The shorter side of the first picture that can be read.

        Raises:
            DataError: none can be.
        """
        with closing(self._pictures(None)) as pictures:
            first = next(pictures, None)
        self.sizes.clear()
        if first is None:
            raise DataError(self._nothing())
        self.rejected.clear()
        return min(first[0].shape[:2])

    def batches(self, known: Sequence[str] = (), limit: int | None = None, square: bool = False) -> Iterator[Sized]:
        """Yield all pictures, or `limit` of them drawn by a fixed seed, each batch of one size.

        Labels are indices into `known`, where all of the pictures' classes are among these; else there are none. Pictures of
        many sizes come in another order, the same each time. With `square`, longer sides are cut off evenly.

        Raises:
            DataError: no picture can be read.
        """
        index = {name: known.index(name) for name in self.classes if name in known}
        labelled = bool(index) and len(index) == len(self.classes)
        waiting: dict[tuple[int, ...], list[tuple[np.ndarray, int]]] = {}
        held = 0
        for pixels, label in self._pictures(limit):
            if square and pixels.shape[0] != pixels.shape[1]:
                pixels = _square(pixels)
                self.cropped += 1
            waiting.setdefault(pixels.shape, []).append((pixels, index[label] if labelled and label is not None else -1))
            held += pixels.nbytes
            if len(waiting[pixels.shape]) >= _BATCH or held >= _WAITING_BYTES:
                shape = max(waiting, key=lambda shape: len(waiting[shape]))
                done = waiting.pop(shape)
                held -= sum(p.nbytes for p, _ in done)
                yield _stacked(done, labelled)
        for done in waiting.values():
            yield _stacked(done, labelled)
        if not self.sizes:
            raise DataError(self._nothing())

    @abstractmethod
    def _pictures(self, limit: int | None) -> Generator[tuple[np.ndarray, str | None], None, None]:
        """Yield pictures (H, W, 3) with their class, in order, counting their sizes."""

    def _nothing(self) -> str:
        why = f" (first: {shown(self.rejected[0][0])}: {self.rejected[0][1]})" if self.rejected else ""
        return f"none of the {self.found:,} pictures of {self.path} can be read{why}: expected .png or .jpg pictures to score"


def open_given(pictures: str | Path | np.ndarray, quiet: bool = False) -> Given:
    """Pictures in a folder, an archive, a packed data set (its training split) or an array, uint8 (N, H, W, 3).

    Raises:
        DataError: there are none.
        UsageError: the array is no pictures.
    """
    if isinstance(pictures, np.ndarray):
        return _Array(pictures)
    if not str(pictures).startswith("builtin:") and is_packed(pictures):
        return _Packed(str(pictures))
    with open_source(pictures, quiet) as source:
        made = plan(source, None, None, 0.0)
        sheets = _sheets(pictures)
        found = [(item, label) for split in made.splits.values() for item, label in split.labelled(made.classes) if item.name not in sheets]
    return _Files(str(pictures), source.kind, [i for i, _ in found], [label for _, label in found], made.classes, source.rejected, quiet)


def _sheets(pictures: str | Path) -> tuple[str, ...]:
    """Files in a folder of `ganvas sample` that are no single pictures."""
    return ("grid.png",) if (Path(pictures).expanduser() / "samples.json").is_file() else ()


class _Array(Given):
    def __init__(self, pictures: np.ndarray):
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3 or not len(pictures):
            raise UsageError(f"pictures to score are uint8 (N, H, W, 3), not {pictures.dtype} {pictures.shape}")
        super().__init__("an array", "array", len(pictures))
        self._all = pictures

    def _pictures(self, limit: int | None) -> Generator[tuple[np.ndarray, str | None], None, None]:
        for i in _chosen(self.found, limit):
            self.sizes[self._all.shape[2], self._all.shape[1]] += 1
            yield self._all[i], None


class _Packed(Given):
    def __init__(self, path: str):
        dataset = open_packed(path)
        self._split = dataset.split("train" if "train" in dataset.splits else dataset.splits[0])
        classes = dataset.classes if self._split.labels is not None else ()
        super().__init__(path, "packed", len(self._split), classes)

    def _pictures(self, limit: int | None) -> Generator[tuple[np.ndarray, str | None], None, None]:
        for i in _chosen(self.found, limit):
            pixels = self._split.gather(np.array([i]))[0]
            self.sizes[pixels.shape[1], pixels.shape[0]] += 1
            yield pixels, self.classes[self._split.labels[i]] if self._split.labels is not None else None


class _Files(Given):
    def __init__(
        self,
        path: str,
        kind: str,
        items: list[Item],
        labels: list[str | None],
        classes: Sequence[str],
        rejected: Collection[tuple[str, str]],
        quiet: bool,
    ):
        super().__init__(path, kind, len(items), classes)
        self._items, self._labels, self._refused, self._quiet = items, labels, list(rejected), quiet

    def _pictures(self, limit: int | None) -> Generator[tuple[np.ndarray, str | None], None, None]:
        self.rejected = list(self._refused)
        chosen = _chosen(self.found, limit)
        label = {self._items[i].name: self._labels[i] for i in chosen}
        with open_source(self.path, quiet=True) as source, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on damaged metadata: what can't be read is counted here
            for item, found in _decoded(source, [item for item in source.items if item.name in label]):
                if isinstance(found, str):
                    self.rejected.append((item.name, found))
                    continue
                self.sizes[found.shape[1], found.shape[0]] += 1
                yield found, label[item.name]


def _chosen(n: int, limit: int | None) -> Iterable[int]:
    return range(n) if limit is None or limit >= n else np.sort(permutation(n, "given pictures")[:limit]).tolist()


def _decoded(source: Source, items: list[Item]) -> Iterator[tuple[Item, np.ndarray | str]]:
    """The items in order, each with its pixels or the reason why there are none; a few are decoded ahead."""
    pool = ThreadPoolExecutor(thread_count())
    waiting: deque[tuple[Item, Future[np.ndarray | str]]] = deque()
    pairs = ((items[index], data) for index, data in source.stream(items)) if source.sequential else ((item, None) for item in items)
    try:
        for item, data in pairs:
            waiting.append((item, pool.submit(_decode, source, item, data)))
            if len(waiting) > 4 * thread_count():
                first, future = waiting.popleft()
                yield first, future.result()
        for item, future in waiting:
            yield item, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(source: Source, item: Item, data: bytes | None) -> np.ndarray | str:
    try:
        if item.size == 0:
            return "empty file"
        with one_at_a_time(item.size), BytesIO(data) if data is not None else source.open(item) as file:
            return decode_whole(file)
    except Rejected as error:
        return str(error)
    except OSError as error:
        return f"can't be read: {error.strerror or error}"


def _square(pixels: np.ndarray) -> np.ndarray:
    """The middle square of (H, W, 3)."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _stacked(pictures: list[tuple[np.ndarray, int]], labelled: bool) -> Sized:
    labels = np.array([label for _, label in pictures], np.int64) if labelled else None
    return np.stack([pixels for pixels, _ in pictures]), labels
