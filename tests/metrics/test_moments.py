from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics.moments import Moments


@pytest.fixture
def rows() -> torch.Tensor:
    # Far from zero, where one-pass sums of squares lose all their digits.
    return torch.randn(5000, 12, generator=torch.Generator().manual_seed(0)) * 0.01 + 1000


def test_they_are_numpys(rows: torch.Tensor) -> None:
    moments = Moments.of(rows)
    assert moments.n == 5000
    np.testing.assert_allclose(moments.mean, rows.double().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.cov, np.cov(rows.double().numpy(), rowvar=False), rtol=1e-6, atol=1e-12)


def test_any_pieces_in_any_order_are_the_whole(rows: torch.Tensor) -> None:
    whole = Moments.of(rows)
    pieces = [Moments.of(part) for part in rows.split([1, 2, 997, 4000])]
    merged = Moments.empty(12)
    for piece in reversed(pieces):
        merged.merge(piece)
    updated = Moments.empty(12)
    for part in rows.split(64):
        updated.update(part)
    for other in (merged, updated):
        assert other.n == whole.n
        torch.testing.assert_close(other.mean, whole.mean, rtol=1e-13, atol=0)
        torch.testing.assert_close(other.cov, whole.cov, rtol=1e-9, atol=1e-15)


def test_nothing_changes_nothing(rows: torch.Tensor) -> None:
    moments = Moments.of(rows)
    before = moments.cov
    moments.update(rows[:0])
    moments.merge(Moments.empty(12))
    assert moments.n == 5000
    assert torch.equal(moments.cov, before)


def test_arrays_and_back(rows: torch.Tensor) -> None:
    moments = Moments.of(rows)
    again = Moments.from_arrays(moments.to_arrays())
    assert again.n == moments.n
    assert torch.equal(again.mean, moments.mean)
    assert torch.equal(again.m2, moments.m2)
    with pytest.raises(ValueError, match="shapes"):
        Moments.from_arrays(moments.to_arrays() | {"m2": np.zeros((3, 3))})


def test_one_picture_has_no_covariance() -> None:
    with pytest.raises(UsageError, match="at least 2 pictures"):
        _ = Moments.of(torch.ones(1, 3)).cov
