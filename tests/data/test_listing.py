"""Listings of pictures: what a list would hold, in a fraction of its memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ganvas.data import listing as module
from ganvas.data.decode import Box
from ganvas.data.listing import Item, Listing


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 8)
    monkeypatch.setattr(module, "_SORTED_AT_ONCE", 16)
    monkeypatch.setattr(module, "_SAMPLED", 4)


def items(names: list[str]) -> list[Item]:
    return [Item(name, number, (number, b"\xff"), Box(0, 1, 2.5, number) if number % 3 else None) for number, name in enumerate(names)]


def shuffled(count: int) -> list[str]:
    return [f"{n:04}.png" for n in np.random.default_rng(0).permutation(count)]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 100])
def test_it_holds_what_a_list_holds(count):
    expected = items([f"{n}\udcff\n" for n in range(count)])
    found = Listing(expected)
    assert len(found) == count
    assert bool(found) == bool(expected)
    assert list(found) == expected
    assert [found[k] for k in range(count)] == expected
    assert found[1:50:7] == expected[1:50:7]
    assert [found[k] for k in range(-count, 0)] == expected
    assert all(item.box is None or isinstance(item.box, Box) for item in found)
    for index in (count, -count - 1):
        with pytest.raises(IndexError):
            found[index]


@pytest.mark.parametrize("names", [shuffled(5), shuffled(200), ["b", "a"] * 30, [f"{n:03}" for n in range(50)], ["same"] * 40])
@pytest.mark.parametrize("unique", [True, False])
def test_sorted_as_a_list_is(names, unique):
    expected = sorted(items(names), key=lambda item: item.name)
    if unique:
        expected = list({item.name: item for item in expected}.values())
    found = Listing(items(names))
    found.sort(unique=unique)
    assert list(found) == expected


def test_shortened_names_are_short_also_after_sorting():
    found = Listing(items([f"a/{name}" for name in shuffled(60)]))
    found.shorten(2)
    found.sort()
    assert [item.name for item in found] == sorted(shuffled(60))
    assert found[59].name == "0059.png"


def test_many_take_a_fifth_of_a_lists_memory(monkeypatch):
    monkeypatch.undo()
    tracemalloc.start()
    found = Listing(Item(f"train/{n:07}.jpg", 1_000 + n * 7919 % 500, n * 1_100) for n in range(50_000))
    ours, _ = tracemalloc.get_traced_memory()
    everything = list(found)
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(everything) == len(found)
    assert ours < 0.2 * (both - ours)
