from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics import kernel
from ganvas.metrics.intervals import bootstrap
from ganvas.metrics.kernel import kid, mmd2, mmd2_influence, within
from ganvas.metrics.manifold import precision_recall


def _features(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return (torch.randn(n, 64, generator=torch.Generator().manual_seed(seed)) + shift).relu()


def _by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Pair by pair."""
    k = lambda a, b: (a @ b / len(a) + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_mmd2_is_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _features(23, 0), _features(17, 1, 0.3)
    expected = _by_definition(x.double().numpy(), y.double().numpy())
    assert mmd2(x, y) == pytest.approx(expected, rel=1e-4)
    assert mmd2(x, y, within(y)) == mmd2(x, y)
    monkeypatch.setattr(kernel, "_BLOCK", 5)
    assert mmd2(x, y) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.5])
def test_it_is_torch_fidelitys(shift: float) -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_kid", reason="needs torch-fidelity, of the test extra")
    x, y = _features(700, 2), _features(900, 3, shift)
    expected = fidelity.kid_features_to_metric(x.double(), y.double(), kid_subset_size=300, kid_subsets=20, verbose=False)
    found = kid(x, y, subset_size=300, subsets=20)
    assert found.value == pytest.approx(expected[fidelity.KEY_METRIC_KID_MEAN], rel=1e-3)
    assert found.std == pytest.approx(expected[fidelity.KEY_METRIC_KID_STD], rel=1e-3)


def test_it_is_unbiased() -> None:
    """Two samples of one distribution: zero on average, on both sides of it."""
    values = [mmd2(_features(60, 2 * i), _features(60, 2 * i + 1)) for i in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert min(values) < 0 < max(values)


def test_subsets_are_as_large_as_the_smaller_side() -> None:
    found = kid(_features(40, 0), _features(2000, 1), subsets=3)
    assert found.subset_size == 40
    assert kid(_features(40, 0), _features(2000, 1), subsets=3) == found


def test_threads_change_nothing() -> None:
    x, y, before = _features(300, 0), _features(200, 1), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append((kid(x, y, subset_size=100, subsets=7), precision_recall(x, y)))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_its_influence_is_its_derivative() -> None:
    x, y = _features(2000, 0), _features(500, 1, 0.2)
    value, influence = mmd2_influence(x, y)
    assert value == pytest.approx(mmd2(x, y), rel=1e-6)
    assert float(influence.mean()) == pytest.approx(0, abs=1e-9)
    far = influence.argsort()[-10:]
    others = torch.ones(2000, dtype=torch.bool)
    others[far] = False
    moved = mmd2(x[others], y) - value
    assert moved == pytest.approx(-float(influence[far].sum()) / 1990, rel=0.05)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_its_interval_holds_the_distance_of_the_distributions(shift: float) -> None:
    real = _features(600, 1000)
    expected = mmd2(_features(10_000, 1001, shift), real)
    hits, widths, values = 0, [], []
    for i in range(40):
        x = _features(300, i, shift)
        found = kid(x, real, subset_size=100, subsets=20)
        (sure,) = bootstrap([found.value], found.influence[:, None])
        hits += sure.low <= expected <= sure.high
        widths.append(sure.high - sure.low)
        values.append(found.value)
    assert hits >= 36
    assert np.mean(widths) < 8 * np.std(values), "an interval that wide says nothing"


def test_one_picture_is_too_few() -> None:
    with pytest.raises(UsageError, match="at least 2 pictures"):
        mmd2(_features(1, 0), _features(5, 1))
