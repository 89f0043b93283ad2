from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.errors import DataError, UserError
from ganvas.metrics import reference as module
from ganvas.metrics.moments import Moments
from ganvas.metrics.reference import Reference, reference


def _same(a: Reference, b: Reference) -> bool:
    return torch.equal(a.features, b.features) and torch.equal(a.moments.m2, b.moments.m2) and torch.equal(a.moments.mean, b.moments.mean)


def test_it_holds_all_pictures_and_is_made_once(tiny, drawn, pictures, tmp_path: Path) -> None:
    images = drawn(700)
    made = reference(pictures(images), "data", tiny, cache=tmp_path, quiet=True)
    assert (made.n, made.split, made.checksum, made.features_name) == (700, "train", "data", "tiny")
    whole = Moments.of(tiny.features(images))
    torch.testing.assert_close(made.moments.mean, whole.mean)
    torch.testing.assert_close(made.moments.cov, whole.cov)
    assert len(made.features) == 700
    seen = tiny.seen
    again = reference(pictures(images), "data", tiny, cache=tmp_path, quiet=True)
    assert tiny.seen == seen, "the cache was not used"
    assert _same(again, made)
    assert (again.n, again.split, again.checksum, again.features_identity) == (made.n, made.split, made.checksum, made.features_identity)


@pytest.mark.parametrize("change", ["data", "split", "limit", "precision"])
def test_whatever_decides_the_features_makes_another(change: str, tiny, drawn, pictures, tmp_path: Path) -> None:
    images = drawn(60)
    reference(pictures(images), "data", tiny, cache=tmp_path, quiet=True)
    seen = tiny.seen
    if change == "precision":
        tiny.precision = "bf16"
    split = pictures(images, "val" if change == "split" else "train")
    reference(split, "other" if change == "data" else "data", tiny, cache=tmp_path, limit=30 if change == "limit" else None, quiet=True)
    assert tiny.seen > seen
    assert len(list(tmp_path.iterdir())) == 2


def test_caps_and_limits_draw_the_same_pictures_each_time(tiny, drawn, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEATURES_CAP", 50)
    monkeypatch.setattr(module, "_BLOCK", 32)
    images = np.arange(256, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)  # sorted, as class folders are
    limited = reference(pictures(images), "data", tiny, cache=tmp_path / "a", limit=100, quiet=True)
    assert (limited.n, limited.moments.n, len(limited.features)) == (100, 100, 50)
    assert _same(limited, reference(pictures(images), "data", tiny, cache=tmp_path / "b", limit=100, quiet=True))
    # Any first rows are a fair sample of the whole range, not its beginning.
    levels = limited.features[:25, 0] * 64
    assert levels.min() < 64
    assert levels.max() > 192


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "foreign"])
def test_a_damaged_file_is_made_again(damage: str, tiny, drawn, pictures, tmp_path: Path) -> None:
    split = pictures(drawn(60))
    made = reference(split, "data", tiny, cache=tmp_path, quiet=True)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 0xFF
    path.write_bytes({"cut": whole[:-100], "flipped": bytes(flipped), "emptied": b"", "foreign": b"PK\x03\x04" * 50}[damage])
    with pytest.raises(DataError, match="can't be read as reference features"):
        Reference.load(path)
    assert _same(reference(split, "data", tiny, cache=tmp_path, quiet=True), made)
    assert _same(Reference.load(path), made)


def test_a_cache_that_cannot_be_written_costs_time_only(tiny, drawn, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(module, "write_bytes", full)
    assert reference(pictures(drawn(60)), "data", tiny, cache=tmp_path, quiet=True).n == 60
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    monkeypatch.undo()
    assert reference(pictures(drawn(60)), "data", tiny, cache=in_the_way, quiet=True).n == 60
    assert in_the_way.read_text() == "no folder"


def test_the_cache_is_where_the_environment_says(tiny, drawn, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "mine"))
    reference(pictures(drawn(20)), "data", tiny, quiet=True)
    assert len(list((tmp_path / "mine" / "references").glob("tiny-train-*.safetensors"))) == 1


def test_one_picture_is_too_few(tiny, drawn, pictures, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 1 picture:"):
        reference(pictures(drawn(1)), "data", tiny, cache=tmp_path, quiet=True)
