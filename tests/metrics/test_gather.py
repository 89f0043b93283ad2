"""Scores of a set that several workers share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from ganvas.metrics import evaluate as module
from ganvas.metrics.evaluate import gather
from ganvas.metrics.frechet import FOLDS
from ganvas.metrics.gather import Gathered
from ganvas.metrics.moments import Moments


def _same(a: Gathered, b: Gathered) -> None:
    (folds, whole), (other_folds, other_whole) = a.moments(), b.moments()
    for one, other in zip([*folds, whole], [*other_folds, other_whole], strict=True):
        assert one.n == other.n
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one.m2, other.m2, rtol=1e-9, atol=1e-9)
    (rows, labels), (other_rows, other_labels) = a.sample(), b.sample()
    assert torch.equal(rows, other_rows)
    assert labels is not None
    assert other_labels is not None
    assert torch.equal(labels, other_labels)
    logits, other_logits = a.logits(), b.logits()
    assert logits is not None
    assert other_logits is not None
    assert torch.equal(logits, other_logits)


@pytest.mark.parametrize("bounds", [(0, 1000, 2000), (0, 1, 700, 1300, 1999, 2000), (0, 333, 666, 2000)])
def test_workers_gather_what_one_would(bounds: tuple[int, ...], classifying, drawn: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEATURES_CAP", 700)
    monkeypatch.setattr(module, "_LOGITS_CAP", 1500)
    images, labels = drawn(2000), torch.arange(2000) % 7
    whole = gather([(images, labels)], classifying, logits=True, quiet=True)
    parts = [gather([(images[a:b], labels[a:b])], classifying, start=a, logits=True, quiet=True) for a, b in itertools.pairwise(bounds)]
    merged = parts.pop()
    for part in parts:
        merged.merge(part)
    rows = merged.sample()[0]
    assert len(rows) == 700
    _same(merged, whole)
    truth = Moments.of(classifying.features(images))
    torch.testing.assert_close(merged.moments()[1].cov, truth.cov, rtol=1e-9, atol=1e-12)


def test_folds_are_equal_and_in_step_with_nothing(tiny, drawn: Callable) -> None:
    """Class after class in turn, as generators often draw: each fold has of each."""
    gathered = gather([(drawn(1200), torch.arange(1200) % 12)], tiny, quiet=True)
    folds, _ = gathered.moments()
    assert [fold.n for fold in folds] == [200] * FOLDS
    turns = torch.nn.functional.one_hot(torch.arange(1200) % 12, 48).float()
    counted = Gathered(48, 10, 0)
    counted.add(0, turns)
    for fold in counted.moments()[0]:
        assert float(fold.mean[:12].min()) > 0.3 / 12
        assert float(fold.mean[:12].max()) < 2 / 12


def test_memory_does_not_grow_with_the_number_of_pictures() -> None:
    gathered = Gathered(4, 50, 20)
    for start in range(0, 20_000, 100):
        gathered.add(start, torch.rand(100, 4), torch.zeros(100, dtype=torch.int64), torch.rand(100, 3))
        assert sum(map(len, gathered._sample._rows)) < 200
        assert max(sum(map(len, waiting)) for waiting in gathered._waiting) < 512
    assert len(gathered.sample()[0]) == 50
    assert len(gathered.logits()) == 20
