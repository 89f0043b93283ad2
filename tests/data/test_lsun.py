"""LMDBs as LSUN ships them: read in place, written to in no way; damage and foreign values have one clear message."""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path

import numpy as np
import pytest

from ganvas.data.opening import open_source
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare, resolve
from ganvas.errors import DataError, UsageError

lmdb = pytest.importorskip("lmdb")


def database(folder: Path, files: dict[bytes, bytes]) -> Path:
    with lmdb.open(str(folder), map_size=2**24) as env, env.begin(write=True) as view:
        for key, value in files.items():
            view.put(key, value)
    (folder / "lock.mdb").unlink()
    return folder


@pytest.fixture
def webps(pictures):
    """As LSUN: WebP under the SHA-1 of something."""
    return {
        hashlib.sha1(bytes([seed])).hexdigest().encode(): pictures.encode(pictures.image(seed), "WEBP", lossless=True) for seed in range(12)
    }


def test_every_value_is_a_picture_named_by_its_key(pictures, tmp_path, contents, webps):
    folder = database(tmp_path / "church_outdoor_train_lmdb", webps)
    before = contents(folder)
    made = prepare(folder, tmp_path / "out", resolution=24, holdout=0, quiet=True)
    assert (made.splits, made.classes, made.rejected) == ({"train": 12}, (), 0)
    split = open_packed(tmp_path / "out").split()
    assert split.names == sorted(key.decode() for key in webps)
    by_key = {hashlib.sha1(bytes([seed])).hexdigest(): seed for seed in range(12)}
    for name, picture in zip(split.names, split.images, strict=True):
        np.testing.assert_array_equal(picture, np.asarray(pictures.image(by_key[name])))
    assert contents(folder) == before


def test_the_file_itself_will_do_and_the_cache_knows_it(tmp_path, webps):
    folder = database(tmp_path / "church_outdoor_train_lmdb", webps)
    assert len(resolve(folder / "data.mdb", resolution=8, quiet=True).split()) == 12
    assert resolve(folder, resolution=8, quiet=True).path == resolve(folder, resolution=8, quiet=True).path


@pytest.mark.parametrize(
    ("names", "splits", "classes"),
    [
        (("church_outdoor_train_lmdb", "church_outdoor_val_lmdb"), {"train": 12, "val": 12}, ()),
        (("bedroom_train_lmdb", "tower_train_lmdb", "tower_val_lmdb"), {"train": 24, "val": 12}, ("bedroom", "tower")),
        (("cats", "dogs"), {"train": 24}, ("cats", "dogs")),
    ],
)
def test_a_folder_of_databases_has_splits_and_classes(tmp_path, webps, names, splits, classes):
    for name in names:
        (tmp_path / "lsun").mkdir(exist_ok=True)
        database(tmp_path / "lsun" / name, webps)
    made = prepare(tmp_path / "lsun", tmp_path / "out", resolution=8, holdout=None if "val" in splits else 0, quiet=True)
    assert (made.splits, made.classes) == (splits, classes)


def test_values_that_are_no_pictures_are_listed(tmp_path, webps):
    odd = {b"num-samples": b"12", b"label-1": b"cat", b"broken": b"RIFF\x08\0\0\0WEBPVP8 ", b"\xff\xfe": b"x", b"../../evil": b"y"}
    folder = database(tmp_path / "x", webps | odd)
    made = prepare(folder, tmp_path / "out", resolution=8, holdout=0, quiet=True)
    assert (made.splits, made.rejected) == ({"train": 12}, len(odd))
    with open_source(folder, quiet=True) as source:
        assert ("num-samples", "the value of this key is no picture file") in source.rejected
        assert {"fffe", ".._.._evil"} < {name for name, _ in source.rejected}


def test_an_empty_database_holds_no_pictures(tmp_path):
    with pytest.raises(DataError, match="holds no pictures"):
        prepare(database(tmp_path / "x", {}), tmp_path / "out", quiet=True)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_database_that_was_cut_off_is_told_before_it_is_mapped(pictures, tmp_path, share):
    """A page that is not there would kill the process."""
    large = {f"{n}".encode(): pictures.encode(pictures.image(n, (200, 200)), "BMP") for n in range(10)}
    file = database(tmp_path / "x", large) / "data.mdb"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"data\.mdb is damaged"):
        prepare(tmp_path / "x", tmp_path / "out", quiet=True)


def test_a_wrong_version_is_damage_too(tmp_path, webps):
    file = database(tmp_path / "x", webps) / "data.mdb"
    data = bytearray(file.read_bytes())
    data[20:24] = b"\x63\0\0\0"
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"data\.mdb is damaged"):
        prepare(tmp_path / "x", tmp_path / "out", quiet=True)


def test_without_the_package_it_says_how_to_get_it(tmp_path, webps, monkeypatch):
    folder = database(tmp_path / "x", webps)
    load = builtins.__import__

    def missing(name, *arguments):
        if name == "lmdb":
            raise ImportError(name)
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"pip install 'ganvas\[lmdb\]'"):
        prepare(folder, tmp_path / "out", quiet=True)


def test_an_archive_of_a_database_is_to_be_unpacked(pictures, tmp_path, webps):
    data = (database(tmp_path / "x", webps) / "data.mdb").read_bytes()
    path = pictures.zip(tmp_path / "church_outdoor_train_lmdb.zip", {"church_outdoor_train_lmdb/data.mdb": data})
    with pytest.raises(DataError, match=r"data\.mdb, which may hold some; .*unpack it"):
        prepare(path, tmp_path / "out", quiet=True)
