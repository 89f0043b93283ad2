"""Zips read without zipfile: the same members and bytes, and whatever is odd is left to zipfile's judgement."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ganvas.data.decode import Rejected
from ganvas.data.source import ZipSource
from ganvas.data.zip_directory import NotOrdinary, ZipDirectory
from ganvas.errors import DataError


def fields(info: zipfile.ZipInfo) -> tuple:
    return info.filename, info.file_size, info.compress_size, info.CRC, info.header_offset, info.compress_type, info.external_attr


def members(path) -> dict[str, bytes | str]:
    """What a source gives of each picture, and of each that it can't, the reason."""
    found: dict[str, bytes | str] = {}
    with ZipSource("given", path) as source:
        for item in source.items:
            try:
                found[item.name] = source.open(item).read()
            except (Rejected, OSError) as error:
                found[item.name] = str(error)
        found |= dict(source.rejected)
    return found


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_those_of_zipfile(pictures, tmp_path, compression):
    files = {f"{'ab'[n % 2]}/{n}.png": pictures.png(n) for n in range(50)} | {"Zoë/日本.png": pictures.png(77), "a/": b"", "empty.jpg": b""}
    path = pictures.zip(tmp_path / "p.zip", files, compression)
    directory = ZipDirectory(path)
    found = list(directory)
    with zipfile.ZipFile(path) as archive:
        assert [fields(info) for _, info in found] == [fields(info) for info in archive.infolist()]
    assert [directory.read(place) for place, _ in found] == list(files.values())
    directory.close()


def test_more_members_than_the_old_format_counts(tmp_path):
    """Over 65,535 zipfile adds the end record of the long format."""
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70_000):
            archive.writestr(f"{number}.png", b"%d" % number)
        archive.comment = b"PK\x05 and more"
    directory = ZipDirectory(path)
    places = [place for place, _ in directory]
    assert len(places) == 70_000
    assert directory.read(places[-1]) == b"69999"
    directory.close()


def test_listing_needs_a_fraction_of_zipfiles_memory(tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:07}.png", b"x")

    def peak(listing: Callable[[], Any]) -> float:
        tracemalloc.start()
        with contextlib.closing(listing()):
            most = tracemalloc.get_traced_memory()[1] / 20_000
        tracemalloc.stop()
        return most

    assert peak(lambda: ZipSource("given", path)) < 300 < 500 < peak(lambda: zipfile.ZipFile(path))


def bzip2(path, pictures) -> None:
    pictures.zip(path, pictures.many(["a.png", "b.png"]), zipfile.ZIP_BZIP2)


def something_in_front(path, pictures) -> None:
    pictures.zip(path, pictures.many(["a.png"]))
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


def something_behind(path, pictures) -> None:
    pictures.zip(path, pictures.many(["a.png"]))
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("make", [bzip2, something_in_front, something_behind])
def test_odd_archives_are_read_all_the_same(pictures, tmp_path, make):
    path = tmp_path / "p.zip"
    make(path, pictures)
    with pytest.raises(NotOrdinary), contextlib.closing(ZipDirectory(path)) as directory:
        list(directory)
    assert members(path)["a.png"] == pictures.png(0)


def judged(path) -> object:
    try:
        return members(path)
    except DataError as error:
        return str(error)


def test_every_damage_is_judged_as_by_zipfile_alone(pictures, tmp_path, monkeypatch):
    """500 archives with bytes changed at random: the same bytes, reasons and messages."""
    random = np.random.default_rng(0)
    named = pictures.many(["a.png", "b.png", "c.png"])
    kinds = [pictures.zip(tmp_path / "whole.zip", named, how).read_bytes() for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    path, outcomes = tmp_path / "p.zip", []
    for number in range(500):
        data = bytearray(kinds[number % 2])
        directory = data.rindex(b"PK\x01\x02", 0, data.index(b"c.png", len(data) - 200)) if number % 3 else 0
        for place in random.integers(directory, len(data), random.integers(1, 3)):
            data[place] = random.integers(0, 256)
        path.write_bytes(data)
        quick = judged(path)
        with monkeypatch.context() as patch:
            patch.setattr("ganvas.data.source.ZipDirectory", lambda _: (_ for _ in ()).throw(NotOrdinary))
            outcomes.append((quick, judged(path)))
    assert [quick for quick, _ in outcomes] == [plain for _, plain in outcomes]
    assert sum(isinstance(quick, str) for quick, _ in outcomes) > 20


def test_threads_read_at_once(pictures, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    files = {f"{n}.png": pictures.png(n) for n in range(40)}
    with ZipSource("given", pictures.zip(tmp_path / "p.zip", files)) as source, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda item: io.BytesIO(source.open(item).read()).getvalue(), list(source.items) * 5))
    assert found == [files[item.name] for item in source.items] * 5
