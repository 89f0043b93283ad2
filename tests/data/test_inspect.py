"""What inspecting finds is what was put there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from ganvas.data import copies as copies_module
from ganvas.data.copies import near_duplicates, thumbnails
from ganvas.data.inspect import inspect
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare
from ganvas.data.verdict import Facts, balance_in_words, judge
from ganvas.errors import DataError


def packed(pictures, tmp_path, files, **options):
    prepare(pictures.folder(tmp_path / "s", files), tmp_path / "out", **{"resolution": 24, "holdout": 0, "quiet": True} | options)
    return open_packed(tmp_path / "out")


@pytest.fixture
def dataset(pictures, tmp_path):
    """Nine of class a, three of class b, of two sizes, one grey and one of one colour."""
    files = {f"{'b' if n > 8 else 'a'}/{n:02}.png": pictures.png(n, (40, 30) if n % 2 else (24, 24)) for n in range(12)}
    files["a/03.png"] = pictures.encode(pictures.image(3, (40, 30)).convert("L"))
    files["b/11.png"] = pictures.encode(Image.new("RGB", (40, 30), (250, 250, 10)))
    return packed(pictures, tmp_path, files)


def test_colours_are_those_of_the_pixels(dataset):
    found, images = inspect(dataset, quiet=True), dataset.split().images
    for k, channel in enumerate(found.pixels.channels):
        assert channel.mean == pytest.approx(images[..., k].mean(), abs=1e-3)
        assert channel.std == pytest.approx(images[..., k].astype(float).std(), abs=1e-3)
        np.testing.assert_array_equal(channel.histogram, np.bincount(images[..., k].ravel(), minlength=256))
    luma = images @ np.array([0.299, 0.587, 0.114])
    assert found.pixels.brightness.mean == pytest.approx(luma.mean(), abs=1e-2)
    assert found.pixels.contrast.median == pytest.approx(np.median(luma.std((1, 2))), abs=1e-2)
    assert sum(found.pixels.brightness.bins) == len(images)
    assert (found.pixels.flat, found.pixels.grey) == (1, 1)
    assert found.pixels.brightest[0] == found.pixels.flattest[0] == 11
    mean = images.mean(0)
    explained = mean.reshape(-1, 3).var(0).sum() / images.reshape(-1, 3).astype(float).var(0).sum()
    assert found.pixels.aligned == pytest.approx(explained, abs=1e-3)


def test_classes_sizes_and_means(dataset):
    found = inspect(dataset, quiet=True)
    images, labels = dataset.split().images, dataset.split().labels
    assert found.classes == {"a": 9, "b": 3}
    assert found.balance == "2, imbalanced: a has 3.0 times as many as b (9 against 3)"
    np.testing.assert_array_equal(found.means[0], images.mean(0).round())
    for k in range(2):
        np.testing.assert_array_equal(found.means[1 + k], images[labels == k].mean(0).round())
    sizes = found.sizes
    assert (sizes.different, sizes.commonest) == (2, ((24, 24, 6), (40, 30, 6)))
    assert (sizes.width.quantiles[0], sizes.height.quantiles[-1], sizes.smaller) == (24, 30, 0)
    assert sizes.lost == pytest.approx(0.5 * (1 - 30 / 40))


def test_unlabelled_pictures_of_more_than_64_pixels(pictures, tmp_path):
    found = inspect(packed(pictures, tmp_path, pictures.many(["1.png", "2.png"]), resolution=96), quiet=True)
    assert (found.classes, found.means.shape) == ({}, (1, 64, 64, 3))
    assert found.balance == "none: the pictures have no labels"


def test_blocks_do_not_matter(dataset, monkeypatch):
    whole = inspect(dataset, quiet=True)
    monkeypatch.setattr("ganvas.data.inspect._BLOCK_BYTES", 5 * 24 * 24 * 3)
    monkeypatch.setattr(copies_module, "_ROWS", 5)
    monkeypatch.setattr(copies_module, "_READ_BYTES", 5 * 24 * 24 * 3)
    parts = inspect(dataset, quiet=True)
    assert parts.to_json() == whole.to_json()
    np.testing.assert_array_equal(parts.means, whole.means)


def test_json_is_json_and_holds_no_pictures(dataset):
    found = inspect(dataset, quiet=True)
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["classes"] == {"a": 9, "b": 3}
    assert values["copies"] == {"compared": 12, "exact": 0, "near": 0, "pairs": []}
    assert values["verdict"]["kind"] == "bad"
    assert "means" not in values
    assert "too few" in found.summary()


def test_data_sets_of_before_sizes_were_noted(dataset):
    description = json.loads((dataset.path / "dataset.json").read_text())
    del description["files"]["train.sizes.npy"]
    (dataset.path / "dataset.json").write_text(json.dumps(description))
    (dataset.path / "train.sizes.npy").unlink()
    found = inspect(open_packed(dataset.path), quiet=True)
    assert found.sizes is None
    assert "prepare it again" in found.summary()


def test_sizes_stay_with_their_pictures_when_some_are_rejected_or_resized(pictures, tmp_path):
    files = {f"{n:02}.png": pictures.png(n, (20 + n, 30)) for n in range(30)} | {"07x.png": b"bad", "00x.png": b"bad"}
    dataset = packed(pictures, tmp_path, files, resolution=16)
    for opened in (dataset, dataset.resized(8, quiet=True)):
        np.testing.assert_array_equal(opened.split().sizes, [(20 + n, 30) for n in range(30)])
    (tmp_path / "out" / "train.sizes.npy").write_bytes((tmp_path / "out" / "train.sizes.npy").read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(DataError, match=r"train\.sizes\.npy is not as it was written"):
        open_packed(tmp_path / "out").verify()


# -- Copies -------------------------------------------------------------------------------------------------------


def altered(image: Image.Image, how: str, pictures) -> bytes:
    if how == "compressed":
        return pictures.encode(image, "JPEG", quality=50)
    if how == "smaller":
        return pictures.encode(image.resize((24, 24)))
    if how == "brighter":
        return pictures.encode(image.point(lambda level: min(255, level + 25)))
    assert how == "paler"
    return pictures.encode(image.point(lambda level: 128 + (level - 128) // 2))


@pytest.mark.parametrize("how", ["compressed", "smaller", "brighter", "paler"])
def test_altered_pictures_are_near_copies_and_others_are_not(pictures, tmp_path, how):
    files = {f"{n:02}.png": pictures.png(n, (48, 48)) for n in range(40)}
    files |= {f"x{n:02}.png": altered(pictures.image(n, (48, 48)), how, pictures) for n in range(0, 40, 4)}
    found = near_duplicates(packed(pictures, tmp_path, files, resolution=32).split(), quiet=True)
    assert [(pair.picture, pair.earlier) for pair in found.pairs] == [(40 + k, 4 * k) for k in range(10)]
    assert (found.exact, found.near, found.compared) == (0, 10, 50)


def test_exact_copies_are_told_apart(pictures, tmp_path):
    files = pictures.many([f"{n}.png" for n in range(5)]) | {"x.png": pictures.png(2), "y.png": pictures.png(2)}
    found = near_duplicates(packed(pictures, tmp_path, files).split(), quiet=True)
    assert [(pair.picture, pair.earlier, pair.exact, pair.similarity) for pair in found.pairs] == [(5, 2, True, 1.0), (6, 2, True, 1.0)]


def test_flat_pictures_are_near_copies_of_nothing(pictures, tmp_path):
    noise = np.random.default_rng(0)
    files = {f"{n}.png": pictures.encode(Image.fromarray((120 + n + noise.integers(0, 3, (24, 24, 3))).astype(np.uint8))) for n in range(9)}
    assert near_duplicates(packed(pictures, tmp_path, files).split(), quiet=True).pairs == ()


def test_of_many_pictures_so_many_are_compared_and_it_is_said(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(copies_module, "MOST", 10)
    files = pictures.many([f"{n:02}.png" for n in range(20)])
    found = near_duplicates(packed(pictures, tmp_path, files, resolution=8).split(), quiet=True)
    assert (found.compared, found.pairs) == (10, ())


def test_thumbnails_correlate():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    rows = thumbnails(pixels, 8)
    assert (rows**2).sum(1) == pytest.approx(np.ones(4), abs=1e-5)
    assert (rows @ thumbnails((pixels // 2) + 60, 8).T).diagonal() == pytest.approx(np.ones(4), abs=1e-3)


# -- The verdict --------------------------------------------------------------------------------------------------

GOOD = {
    "pictures": 20_000,
    "resolution": 64,
    "crop": "center",
    "counts": {"a": 10_000, "b": 10_000},
    "exact": 0.0,
    "near": 0.001,
    "shared": 0,
    "smaller": 0.0,
    "lost": 0.0,
    "flat": 0.0,
    "grey": 0.0,
    "aligned": 0.05,
}


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({}, "good", "20,000 training pictures are plenty"),
        ({"pictures": 5_000}, "good", "enough for one kind of subject"),
        ({"pictures": 700}, "care", "700 training pictures are few"),
        ({"pictures": 60}, "bad", "60 training pictures are too few"),
        ({"counts": {"a": 6_000, "b": 600}}, "care", "badly imbalanced: a has 10.0 times as many as b"),
        ({"counts": {"a": 6_000, "b": 0}}, "care", "b has no training picture"),
        ({"counts": {"a": 6_000, "b": 2_500}}, "care", "a has 2.4 times"),
        ({"counts": {"a": 40, "b": 45}}, "care", "the smallest class has 40 pictures"),
        ({"counts": {}}, "good", "plenty"),
        ({"exact": 0.2}, "bad", "20.0% of the pictures repeat another exactly"),
        ({"near": 0.3}, "care", "30.0% nearly"),
        ({"shared": 3}, "care", "3 held-out pictures are in train"),
        ({"smaller": 0.6}, "care", "learn to blur"),
        ({"smaller": 0.2}, "care", "sharp and blurred ones mix"),
        ({"lost": 0.4}, "care", "cuts away 40% of the area"),
        ({"lost": 0.4, "crop": "none"}, "care", "distorts proportions"),
        ({"lost": 0.4, "crop": "box"}, "good", "plenty"),
        ({"aligned": 0.01, "pictures": 5_000}, "care", "subjects stand anywhere"),
        ({"aligned": 0.3}, "good", "share a layout"),
        ({"flat": 0.01}, "care", "of one colour"),
        ({"flat": 0.5}, "bad", "of one colour"),
        ({"grey": 0.04}, "care", "without colour"),
        ({"grey": 1.0}, "good", "plenty"),
    ],
)
def test_the_verdict_is_as_bad_as_its_worst_reason_which_comes_first(changes, kind, words):
    verdict = judge(Facts(**GOOD | changes))
    assert verdict.kind == kind
    assert any(words in reason.text for reason in verdict.reasons)
    assert verdict.reasons[0].kind == kind
    assert verdict.answer == {"good": "Yes", "care": "Yes, with care", "bad": "Not as it is"}[kind]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "none"),
        ({"a": 3}, "one, a, of 3 pictures"),
        ({"a": 5, "b": 5}, "2, perfectly balanced: each has 5 training pictures"),
        ({"a": 100, "b": 110}, "2, balanced: each has 100 to 110 training pictures"),
        ({"a": 100, "b": 200}, "somewhat imbalanced: b has 2.0 times as many as a (200 against 100)"),
        ({"a": 100, "b": 0}, "imbalanced: b has no training picture, a has 100"),
    ],
)
def test_balance_in_words(counts, words):
    assert words in balance_in_words(counts)


@pytest.mark.data
def test_real_pictures(shared_data, tmp_path):
    """Kaggle's cats and dogs as they are here, ten to one."""
    prepare(shared_data / "dogs-vs-cats.zip", tmp_path / "pets", resolution=32, holdout=0, quiet=True)
    found = inspect(open_packed(tmp_path / "pets"), quiet=True)
    assert found.classes == {"cat": 6_000, "dog": 600}
    assert "badly imbalanced: cat has 10.0 times as many as dog (6,000 against 600)" in found.balance
    assert found.verdict.kind == "care"
    assert (found.sizes.different, found.sizes.commonest) == (1, ((200, 200, 6_600),))
