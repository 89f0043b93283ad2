"""The pictures that a source lists: a million of them in some MB, for they are packed where nobody looks at them."""

from __future__ import annotations

import marshal
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ganvas.data.decode import Box

_BLOCK = 4_096
"""Items that are packed together. Those of a smaller source never are."""
_SORTED_AT_ONCE = 32_768
_SAMPLED = 64


@dataclass(frozen=True, slots=True)
class Item:
    """A picture file: its name below the source, `a/b.jpg`, its size in bytes, where the source finds it (numbers, text,
    bytes, or tuples of these), and which part of it is meant (None: all)."""

    name: str
    size: int
    where: Any
    box: Box | None = None


class _Block:
    """Some items, by columns."""

    def __init__(self, names: list[str], sizes: list[int], places: list[Any], boxes: list[Any]):
        self.names, self.sizes, self.places, self.boxes = names, sizes, places, boxes

    @classmethod
    def unpacked(cls, data: bytes) -> _Block:
        return cls(*marshal.loads(zlib.decompress(data)))  # what `packed` made, which never left this process

    def packed(self) -> bytes:
        return zlib.compress(marshal.dumps((self.names, self.sizes, self.places, self.boxes), 2), 1)

    def append(self, item: Item) -> None:
        self.names.append(item.name)
        self.sizes.append(item.size)
        self.places.append(item.where)
        self.boxes.append(None if item.box is None else tuple(item.box))

    def item(self, k: int, skip: int) -> Item:
        box = self.boxes[k]
        return Item(self.names[k][skip:], self.sizes[k], self.places[k], None if box is None else Box(*box))


class Listing(Sequence[Item]):
    """Items in order. Going through them, or reaching for one after another in rising order, is quick; at random it is not."""

    def __init__(self, items: Iterable[Item] = ()):
        self._clear()
        self.extend(items)

    def _clear(self) -> None:
        self._packed: list[bytes] = []
        self._last = _Block([], [], [], [])
        self._open: tuple[int, _Block] = -1, self._last
        self._skip = 0
        self._rising, self._repeats = True, False
        self._highest = ""

    def append(self, item: Item) -> None:
        """Put one behind the others."""
        self._rising = self._rising and item.name >= self._highest
        self._repeats = self._repeats or (item.name == self._highest and len(self) > 0)
        self._highest = item.name
        self._last.append(item)
        if len(self._last.names) == _BLOCK:
            self._packed.append(self._last.packed())
            self._last = _Block([], [], [], [])

    def extend(self, items: Iterable[Item]) -> None:
        """Put some behind the others."""
        for item in items:
            self.append(item)

    def __len__(self) -> int:
        return _BLOCK * len(self._packed) + len(self._last.names)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        number, k = divmod(index % len(self), _BLOCK)
        return self._block(number).item(k, self._skip)

    def __iter__(self) -> Iterator[Item]:
        for number in range(len(self._packed) + 1):
            block = self._block(number)
            for k in range(len(block.names)):
                yield block.item(k, self._skip)

    def _block(self, number: int) -> _Block:
        if number == len(self._packed):
            return self._last
        found, block = self._open  # together: another thread may open another one meanwhile
        if found != number:
            block = _Block.unpacked(self._packed[number])
            self._open = number, block
        return block

    def sort(self, unique: bool = False) -> None:
        """Bring the items into the order of their names; those of one name stay as they were added.

        Args:
            unique: of those of one name keep the last, as unpacking an archive would.
        """
        if self._rising and not (unique and self._repeats):
            return
        buckets = [self]
        if len(self) > _SORTED_AT_ONCE:
            sample = sorted(item.name for item in self[::_SAMPLED])
            edges = sample[:: _SORTED_AT_ONCE // (2 * _SAMPLED)]
            buckets = [Listing() for _ in range(len(edges) + 1)]
            for item in self:
                buckets[bisect_right(edges, item.name)].append(item)
            self._clear()
        for bucket in buckets:
            some = sorted(bucket, key=lambda item: item.name)
            bucket._clear()
            self.extend(_last_of_each(some) if unique else some)

    def shorten(self, letters: int) -> None:
        """Take so many letters off the front of every name."""
        self._skip += letters


def _last_of_each(items: list[Item]) -> list[Item]:
    """Of sorted items, the last of each name."""
    return [item for k, item in enumerate(items) if k + 1 == len(items) or items[k + 1].name != item.name]
