"""Pictures of any generator, as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data.given import Given, open_given
from ganvas.data.prepare import prepare
from ganvas.errors import DataError, UsageError


def _read(given: Given, *arguments: object) -> tuple[list[np.ndarray], list[int]]:
    pixels, labels = [], []
    for batch, classes in given.batches(*arguments):  # type: ignore[arg-type]
        pixels += list(batch)
        labels += [] if classes is None else classes.tolist()
    return pixels, labels


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_folder_and_archives_give_the_same_pixels_unchanged(kind: str, pictures, tmp_path: Path) -> None:
    files = pictures.many([f"{i}.png" for i in range(9)])
    given = open_given(getattr(pictures, kind)(tmp_path / "given", files))
    assert (given.kind, given.found, given.side()) == (kind, 9, 24)
    found, labels = _read(given)
    assert labels == []
    for seed, pixels in enumerate(found):
        assert np.array_equal(pixels, np.asarray(pictures.image(seed)))
    assert dict(given.sizes) == {(24, 24): 9}


def test_each_keeps_its_own_size_and_its_class(pictures, tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": pictures.png(i, (16 + 4 * (i % 3), 16)) for name in ("cat", "dog") for i in range(6)}
    given = open_given(pictures.folder(tmp_path / "given", files))
    found, labels = _read(given, ("bird", "cat", "dog"))
    assert sorted({pixels.shape for pixels in found}) == [(16, 16, 3), (16, 20, 3), (16, 24, 3)]
    assert sorted(labels) == [1] * 6 + [2] * 6
    assert (given.sizes[(20, 16)], given.cropped) == (4, 0)
    again, order = _read(given, ("bird", "cat", "dog"))
    assert order == labels
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    square, _ = _read(given, (), None, True)
    assert {pixels.shape for pixels in square} == {(16, 16, 3)}
    assert given.cropped == 8
    middle = np.asarray(pictures.image(2, (24, 16)))[:, 4:20]
    assert any(np.array_equal(middle, pixels) for pixels in square)


def test_classes_that_the_data_has_not_are_no_labels(pictures, tmp_path: Path) -> None:
    given = open_given(pictures.folder(tmp_path / "given", pictures.many(["cat/0.png", "dog/0.png"])))
    assert given.classes == ("cat", "dog")
    assert _read(given, ("cat", "bird"))[1] == []


def test_a_limit_draws_the_same_ones_each_time(pictures, tmp_path: Path) -> None:
    given = open_given(pictures.folder(tmp_path / "given", pictures.many([f"{i}.png" for i in range(30)])))
    some, others = _read(given, (), 10)[0], _read(given, (), 10)[0]
    assert len(some) == 10
    assert all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))
    assert not np.array_equal(some[9], np.asarray(pictures.image(9)))


def test_what_cannot_be_read_is_counted_and_only_nothing_is_an_error(pictures, tmp_path: Path) -> None:
    whole = pictures.png(0)
    given = open_given(pictures.folder(tmp_path / "some", {"a.png": whole, "b.png": whole[:60], "c.png": b"", "d.txt": b"x"}))
    assert len(_read(given)[0]) == 1
    assert sorted(name for name, _ in given.rejected) == ["b.png", "c.png"]
    none = open_given(pictures.folder(tmp_path / "none", {"b.png": whole[:60]}))
    with pytest.raises(DataError, match=r"none of the 1 pictures .* b.png"):
        _read(none)
    with pytest.raises(DataError, match="none of the 1"):
        none.side()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        open_given(tmp_path / "empty")


def test_the_sheet_that_sample_writes_is_no_picture(pictures, tmp_path: Path) -> None:
    files = {**pictures.many(["000000.png", "000001.png"]), "grid.png": pictures.png(7, (60, 60))}
    assert open_given(pictures.folder(tmp_path / "other", files)).found == 3
    assert open_given(pictures.folder(tmp_path / "sampled", files | {"samples.json": b"{}"})).found == 2


def test_packed_data_sets_and_arrays_are_pictures_too(pictures, tmp_path: Path) -> None:
    prepare(
        pictures.folder(tmp_path / "p", pictures.many(["a/0.png", "a/1.png", "b/0.png"])), tmp_path / "packed", resolution=16, quiet=True
    )
    given = open_given(tmp_path / "packed")
    found, labels = _read(given, ("b", "a"))
    assert (given.kind, len(found), found[0].shape, sorted(labels)) == ("packed", 3, (16, 16, 3), [0, 1, 1])
    array = np.stack(found)
    again, _ = _read(open_given(array))
    assert np.array_equal(np.stack(again), array)
    for wrong in (array.astype(np.float32), array[0], array[:0]):
        with pytest.raises(UsageError, match="uint8"):
            open_given(wrong)


def test_transparency_and_16_bits_and_jpeg_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(tmp_path / "given/a.png")
    Image.new("RGB", (3000, 2000), (10, 200, 30)).save(tmp_path / "given/b.jpg")
    shapes = {pixels.shape: pixels for pixels in _read(open_given(tmp_path / "given"))[0]}
    assert set(shapes) == {(300, 300, 3), (2000, 3000, 3)}
    assert shapes[300, 300, 3].min() == 255
