"""Nearest neighbours against brute force, and the cache of features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics import neighbours as module
from ganvas.metrics.neighbours import (
    FeatureRows,
    PixelRows,
    StoredRows,
    TensorRows,
    UnitRows,
    blocks,
    mirrored,
    nearest,
    thumbnail_rows,
    training_features,
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 7)
    monkeypatch.setattr(module, "_COLUMNS", 13)
    monkeypatch.setattr(module, "_EXACT_ROWS", 32)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_neighbours_are_those_of_brute_force_block_by_block(k: int) -> None:
    torch.manual_seed(0)
    rows, base = torch.randn(20, 6), torch.randn(61, 6) + 30  # far from the origin, where float32 keeps few digits
    found = nearest(rows[:, None] + 30, TensorRows(base), k)
    expected = torch.cdist((rows + 30).double(), base.double()).sort(1)
    assert torch.equal(found.indices, expected.indices[:, :k])
    torch.testing.assert_close(found.distances, expected.values[:, :k], rtol=1e-5, atol=1e-6)
    assert not found.turned.any()


def test_more_neighbours_than_there_are_pictures_are_all_of_them() -> None:
    found = nearest(torch.randn(3, 1, 4), TensorRows(torch.randn(5, 4)), 50)
    assert found.indices.sort(1).values.tolist() == [[0, 1, 2, 3, 4]] * 3


def test_copies_are_at_distance_zero_and_not_at_that_of_rounding() -> None:
    torch.manual_seed(0)
    base = torch.randn(50, 200) * 100
    found = nearest(base[10:30, None], TensorRows(base), 3)
    assert found.distances[:, 0].tolist() == [0.0] * 20
    assert found.indices[:, 0].tolist() == list(range(10, 30))


def test_a_picture_is_no_neighbour_of_itself_but_its_copies_are() -> None:
    torch.manual_seed(0)
    base = torch.randn(40, 5)
    base[7] = base[3]
    found = nearest(base[:, None], TensorRows(base), 2, own=np.arange(40))
    assert not (found.indices == torch.arange(40)[:, None]).any()
    assert (int(found.indices[3, 0]), int(found.indices[7, 0])) == (7, 3)
    others = torch.cdist(base.double(), base.double()).fill_diagonal_(torch.inf).sort(1)
    assert torch.equal(found.indices, others.indices[:, :2])


def test_the_nearer_view_counts_and_each_row_once() -> None:
    base = torch.tensor([[0.0, 0], [1, 0], [9, 9]])
    views = torch.tensor([[[5.0, 0], [0.9, 0]], [[0.1, 0], [8, 9]]])
    found = nearest(views, TensorRows(base), 3)
    assert found.indices.tolist() == [[1, 0, 2], [0, 1, 2]]
    # 0.1 and 0.9 away by the second view, and 9.8 by the first; of the other picture only the last by the second.
    assert found.turned.tolist() == [[True, True, False], [False, False, True]]
    assert found.distances[:, 0].tolist() == pytest.approx([0.1, 0.1], abs=1e-6)


def test_nothing_to_compare_with_is_said() -> None:
    with pytest.raises(UsageError, match="no training picture"):
        nearest(torch.zeros(1, 1, 2), TensorRows(torch.zeros(1, 2)), own=np.array([0]))
    with pytest.raises(UsageError, match="no picture to find"):
        nearest(torch.zeros(0, 1, 2), TensorRows(torch.zeros(1, 2)))


def test_distances_of_thumbnails_are_levels(drawn, pictures) -> None:
    ours = drawn(10)
    brighter = np.clip(ours.astype(int) + 7, 0, 255).astype(np.uint8)
    found = nearest(thumbnail_rows(brighter)[:, None], PixelRows(pictures(ours)), 1)
    assert found.indices[:, 0].tolist() == list(range(10))
    assert float(found.distances.max()) <= 7.0001
    assert float(found.distances.median()) == pytest.approx(7.0, abs=0.5)
    larger = ours.repeat(8, 1).repeat(8, 2)
    assert torch.equal(thumbnail_rows(larger), thumbnail_rows(ours)), "a thumbnail does not depend on the size"


def test_mirror_images_are_found(drawn, pictures) -> None:
    ours = drawn(12)
    views = torch.stack([thumbnail_rows(mirrored(ours)), thumbnail_rows(ours)], 1)
    found = nearest(views, PixelRows(pictures(ours)), 1)
    assert found.distances.abs().max() == 0
    assert found.turned.all()


def test_features_are_made_once_kept_and_read_again(tiny, drawn, pictures, tmp_path: Path) -> None:
    split = pictures(drawn(40))
    made = training_features(split, "data", tiny, cache=tmp_path, quiet=True)
    assert isinstance(made, StoredRows)
    torch.testing.assert_close(torch.cat(list(blocks(made, 9))), tiny.features(split.images))
    seen = tiny.seen
    again = training_features(split, "data", tiny, cache=tmp_path, quiet=True)
    assert torch.equal(again.gather(np.array([39, 0])), made.gather(np.array([39, 0])))
    assert tiny.seen == seen
    training_features(split, "other data", tiny, cache=tmp_path, quiet=True)
    assert tiny.seen > seen


@pytest.mark.parametrize("damage", ["features.npy", "about.json"])
def test_damaged_features_are_made_again(tiny, drawn, pictures, tmp_path: Path, damage: str) -> None:
    split = pictures(drawn(40))
    training_features(split, "data", tiny, cache=tmp_path, quiet=True)
    (file,) = tmp_path.rglob(damage)
    file.write_bytes(file.read_bytes()[:-20])
    again = training_features(split, "data", tiny, cache=tmp_path, quiet=True)
    torch.testing.assert_close(again.gather(np.arange(40)), tiny.features(split.images))
    assert json.loads(next(tmp_path.rglob("about.json")).read_text())["pictures"] == 40


def test_without_a_cache_features_are_computed_as_they_are_needed(tiny, drawn, pictures, tmp_path: Path) -> None:
    split = pictures(drawn(20))
    (tmp_path / "file").write_text("in the way")
    found = training_features(split, "data", tiny, cache=tmp_path / "file", quiet=True)
    assert isinstance(found, FeatureRows)
    torch.testing.assert_close(found.gather(np.array([3, 1])), tiny.features(split.images[[3, 1]]))
    assert UnitRows(found).gather(np.arange(20)).norm(dim=1).tolist() == pytest.approx([1.0] * 20)
