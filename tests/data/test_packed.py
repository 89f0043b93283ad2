"""A packed data set opens as it was written, gathers any pictures, resizes down once, and notices damage."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ganvas.artifact import cache_folder
from ganvas.data.packed import by_area, is_packed, open_packed
from ganvas.data.prepare import prepare
from ganvas.errors import DataError


@pytest.fixture
def packed(pictures, tmp_path):
    names = [f"{split}/{label}/{n:02}.png" for split in ("train", "test") for label in ("b", "a") for n in range(8)]
    source = pictures.folder(tmp_path / "source", {name: pictures.png(seed, (32, 32)) for seed, name in enumerate(names)})
    prepare(source, tmp_path / "packed", resolution=32, quiet=True)
    return open_packed(tmp_path / "packed")


def test_it_holds_the_pictures_in_order_of_their_names(packed, pictures):
    train = packed.split()
    assert (packed.resolution, packed.classes, packed.splits, packed.attribution) == (32, ("a", "b"), ("train", "test"), None)
    assert train.names == [f"train/{label}/{n:02}.png" for label in ("a", "b") for n in range(8)]
    assert train.labels.dtype == np.int64
    np.testing.assert_array_equal(train.labels, [0] * 8 + [1] * 8)
    assert train.images.dtype == np.uint8
    assert isinstance(train.images, np.memmap)
    assert len(train) == 16
    np.testing.assert_array_equal(train.images[0], np.asarray(pictures.image(8, (32, 32))))
    np.testing.assert_array_equal(train.images[8], np.asarray(pictures.image(0, (32, 32))))


def test_gather_gives_a_copy_in_the_order_asked_for(packed):
    train = packed.split("train")
    indices = np.array([3, 15, 3, 0])
    found = train.gather(indices)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, np.asarray(train.images)[indices])
    found[:] = 0
    assert train.images[3].any()
    assert train.gather(np.array([], dtype=np.int64)).shape == (0, 32, 32, 3)
    with pytest.raises(IndexError):
        train.gather(np.array([16]))


def test_the_data_can_not_be_written_to(packed):
    with pytest.raises(ValueError, match="read-only"):
        packed.split().images[0] = 0


def test_held_out_is_val_then_test_then_none(packed, pictures, tmp_path):
    assert packed.held_out().name == "test"
    with pytest.raises(DataError, match=r'no split "val" \(it has train, test\)'):
        packed.split("val")
    prepare(pictures.folder(tmp_path / "s", pictures.many(["1.png"])), tmp_path / "p", quiet=True)
    assert open_packed(tmp_path / "p").held_out() is None
    files = pictures.many(["train/1.png", "val/1.png", "test/1.png"])
    prepare(pictures.folder(tmp_path / "s2", files), tmp_path / "p2", quiet=True)
    assert open_packed(tmp_path / "p2").held_out().name == "val"


def test_resizing_down_is_by_area_and_done_once(packed):
    half = packed.resized(16)
    assert (half.resolution, half.classes, half.splits) == (16, packed.classes, packed.splits)
    assert half.path.is_relative_to(cache_folder())
    assert half.split().names == packed.split().names
    np.testing.assert_array_equal(half.split().labels, packed.split().labels)
    np.testing.assert_array_equal(half.split().images, by_area(np.asarray(packed.split().images), 16))
    odd = packed.resized(12)
    np.testing.assert_array_equal(odd.split().images, by_area(np.asarray(packed.split().images), 12))
    assert len({packed.checksum, half.checksum, odd.checksum}) == 3
    before = (half.path / "train.npy").stat()
    again = packed.resized(16)
    after = (again.path / "train.npy").stat()
    assert (again.path, again.checksum) == (half.path, half.checksum)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert packed.resized(32) is packed
    half.verify()


@pytest.mark.parametrize("resolution", [4, 5, 12, 16, 24, 31])
def test_by_area_is_the_mean_of_what_each_pixel_covers(resolution):
    """Against pictures enlarged so far that both grids fall on whole pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    fine = pixels.astype(float).repeat(resolution, 1).repeat(resolution, 2)
    mean = fine.reshape(3, resolution, 32, resolution, 32, 3).mean((2, 4))
    found = by_area(pixels, resolution)
    assert found.dtype == np.uint8
    assert np.abs(found - mean).max() <= 0.5 + 1e-6


def test_a_damaged_resized_copy_is_made_again(packed):
    small = packed.resized(8)
    (small.path / "train.npy").write_bytes(b"short")
    again = packed.resized(8)
    again.verify()
    assert again.checksum == small.checksum


def test_a_higher_resolution_names_the_mend(packed):
    with pytest.raises(DataError, match=r"32 x 32 pixels, expected at least 64: prepare it again \(ganvas prepare .*source OUT --resol"):
        packed.resized(64)


def test_the_checksum_is_of_the_content(pictures, tmp_path):
    def checksum(out: str, files: dict[str, bytes], **options) -> str:
        made = prepare(pictures.folder(tmp_path / f"{out}-source", files), tmp_path / out, quiet=True, holdout=0, **options)
        return made.checksum

    base = pictures.many(["a/1.png", "a/2.png", "b/3.png"])
    seen = checksum("one", base)
    assert checksum("renamed", {"a/x.png": base["a/1.png"], "a/y.png": base["a/2.png"], "b/z.png": base["b/3.png"]}) == seen
    others = [
        checksum("order", {"a/1.png": base["a/2.png"], "a/2.png": base["a/1.png"], "b/3.png": base["b/3.png"]}),
        checksum("label", {"a/1.png": base["a/1.png"], "b/2.png": base["a/2.png"], "b/3.png": base["b/3.png"]}),
        checksum("classes", {"c/1.png": base["a/1.png"], "c/2.png": base["a/2.png"], "d/3.png": base["b/3.png"]}),
        checksum("flat", {"1.png": base["a/1.png"], "2.png": base["a/2.png"], "3.png": base["b/3.png"]}),
        checksum("pixels", {**base, "b/3.png": pictures.png(99)}),
        checksum("size", base, resolution=32),
    ]
    assert len({seen, *others}) == 7


def test_what_is_no_data_set(packed, pictures, tmp_path):
    for path, words in [
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "source", r"no packed data set: it has no dataset\.json"),
        (pictures.folder(tmp_path / "other", {"dataset.json": b'{"name": "x"}'}), "another program's"),
    ]:
        assert not is_packed(path)
        with pytest.raises(DataError, match=words):
            open_packed(path)
    assert is_packed(packed.path)


def test_damage_is_noticed(packed):
    good = (packed.path / "dataset.json").read_bytes()

    def opening() -> str:
        with pytest.raises(DataError) as caught:
            open_packed(packed.path)
        return str(caught.value)

    (packed.path / "dataset.json").write_bytes(good[:100])
    assert "dataset.json can't be read" in opening()
    assert not is_packed(packed.path)
    values = json.loads(good)
    (packed.path / "dataset.json").write_text(json.dumps({**values, "version": 2}))
    assert "newer ganvas" in opening()
    (packed.path / "dataset.json").write_text(json.dumps({**values, "splits": "many"}))
    assert 'wrong at "splits"' in opening()
    (packed.path / "dataset.json").write_bytes(good)
    pixels = (packed.path / "train.npy").read_bytes()
    (packed.path / "train.npy").write_bytes(pixels[:-1])
    assert "train.npy has" in opening()
    (packed.path / "train.npy").unlink()
    assert "train.npy is missing" in opening()
    flipped = bytearray(pixels)
    flipped[-1] ^= 1
    (packed.path / "train.npy").write_bytes(flipped)
    with pytest.raises(DataError, match=r"train\.npy is not as it was written"):
        open_packed(packed.path).verify()
    (packed.path / "train.npy").write_bytes(b"x" * len(pixels))
    with pytest.raises(DataError, match=r"train\.npy can't be read"):
        open_packed(packed.path).split()
    names = (packed.path / "test.names.json").read_bytes()
    (packed.path / "test.names.json").write_bytes(b"{" * len(names))
    with pytest.raises(DataError, match=r"names\.json can't be read"):
        _ = open_packed(packed.path).split("test").names


def test_opening_reads_no_pictures(packed, monkeypatch):
    """So that a set of a million opens as fast as this one."""
    monkeypatch.setattr(np, "load", lambda *_args, **_options: pytest.fail("opening loaded an array"))
    monkeypatch.setattr("ganvas.data.packed.sha256", lambda _path: pytest.fail("opening hashed a file"))
    assert open_packed(packed.path).splits == ("train", "test")
