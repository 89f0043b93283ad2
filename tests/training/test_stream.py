"""Batches of a run: the same whether the next one is read ahead or not, wherever the stream is set to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.data import packed
from ganvas.data.packed import PackedDataset, open_packed
from ganvas.data.prepare import prepare
from ganvas.training.stream import Stream
from small import disks


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    base = tmp_path_factory.mktemp("stream")
    prepare(disks(base / "disks", count=50), base / "packed", resolution=16, holdout=0, quiet=True)
    return open_packed(base / "packed")


def stream(data: PackedDataset) -> Stream:
    return Stream(data.split("train"), 8, 0, torch.device("cpu"), None, labelled=True)


def test_reading_ahead_changes_no_batch(data: PackedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = stream(data)
    monkeypatch.setattr(packed, "IN_MEMORY", 0)
    ahead = stream(data)
    assert data.split("train").read_from_disk
    for place in (*[None] * 20, 3, None, 1000, None, 8):
        for each in (plain, ahead):
            each.position = each.position if place is None else place
        ours, theirs = plain(), ahead()
        assert ours.start == theirs.start
        assert torch.equal(ours.images, theirs.images)
        assert ours.labels is not None
        assert theirs.labels is not None
        assert torch.equal(ours.labels, theirs.labels)
        assert plain.position == ahead.position == ours.start + 8


def test_each_pass_shows_each_picture_once_in_another_order(data: PackedDataset) -> None:
    made = stream(data)
    first, second = (made.indices(50 * epoch, 50) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)
    across = made.indices(40, 20)
    assert np.array_equal(across, np.concatenate([first[40:], second[:10]]))
