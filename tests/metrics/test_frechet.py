from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics.frechet import FOLDS, Frechet, fd_infinity, frechet_distance
from ganvas.metrics.intervals import bootstrap
from ganvas.metrics.moments import Moments


def _features(n: int, dim: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Correlated, like features are, with a spectrum that falls over four decades."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(1)))[0] * torch.logspace(0, -2, dim)
    return (torch.randn(n, dim, generator=random) @ mixing.T + shift).relu()


def test_of_one_set_with_itself_it_is_zero() -> None:
    moments = Moments.of(_features(500, 64, 0))
    assert frechet_distance(moments, moments) == pytest.approx(0, abs=1e-6)


def test_two_gaussians_that_commute() -> None:
    """|mu|^2 + sum (sqrt a - sqrt b)^2 for diagonal covariances."""
    a = Moments(
        101, torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64), torch.diag(torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64)) * 100
    )
    b = Moments(
        201, torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64), torch.diag(torch.tensor([9.0, 4.0, 16.0], dtype=torch.float64)) * 200
    )
    assert frechet_distance(a, b) == pytest.approx(25 + 4 + 0 + 16, rel=1e-12)
    assert frechet_distance(b, a) == pytest.approx(45, rel=1e-12)


def test_two_gaussians_that_do_not_commute() -> None:
    """tr (A B)^(1/2) of 2x2 matrices is sqrt(tr AB + 2 sqrt(det AB))."""
    A, B = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[4.0, -1.0], [-1.0, 1.0]])
    root = np.sqrt(np.trace(A @ B) + 2 * np.sqrt(np.linalg.det(A @ B)))
    moments = [Moments(11, torch.zeros(2, dtype=torch.float64), torch.from_numpy(m) * 10) for m in (A, B)]
    assert frechet_distance(*moments) == pytest.approx(np.trace(A) + np.trace(B) - 2 * root, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(3000, 2500), (90, 3000), (60, 80)], ids=["many", "fewer than features", "both fewer"])
def test_it_is_torch_fidelitys(n: int, m: int) -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid", reason="needs torch-fidelity, of the test extra")
    x, y = _features(n, 256, 2), _features(m, 256, 3, shift=0.05)
    expected = fidelity.fid_statistics_to_metric(
        fidelity.fid_features_to_statistics(x.double()), fidelity.fid_features_to_statistics(y.double()), False
    )
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(expected[fidelity.KEY_METRIC_FID], rel=1e-3)


def test_other_features_are_refused() -> None:
    with pytest.raises(UsageError, match="same features"):
        frechet_distance(Moments.of(torch.rand(5, 3)), Moments.of(torch.rand(5, 4)))


# -- Intervals, and infinitely many -------------------------------------------------------------------------------


def _gaussian(n: int, seed: int, dim: int = 24) -> torch.Tensor:
    """Of a known mean and covariance: what `_known` says."""
    scale = torch.logspace(0, -1, dim, dtype=torch.float64) * 1.3
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale + 0.1


def _known(dim: int = 24) -> Moments:
    scale = torch.logspace(0, -1, dim, dtype=torch.float64) * 1.3
    return Moments(10**6 + 1, torch.full((dim,), 0.1, dtype=torch.float64), torch.diag(scale.square()) * 10**6)


def _real(dim: int = 24) -> Moments:
    scale = torch.logspace(0, -1, dim, dtype=torch.float64)
    return Moments(10**6 + 1, torch.zeros(dim, dtype=torch.float64), torch.diag(scale.square()) * 10**6)


@pytest.mark.parametrize("n", [2000, 40], ids=["many", "fewer than features"])
def test_its_influence_is_its_derivative(n: int) -> None:
    """Picture by picture, against moments in which that picture counts a little more."""
    rows, step = _features(n, 64, 4), 1e-4
    moments, real = Moments.of(rows), Frechet.to(Moments.of(_features(3000, 64, 5, shift=0.1)))
    value, influence = real.with_influence(moments, rows)
    assert value == pytest.approx(real.distance(moments), rel=1e-8)
    assert float(influence.mean()) == pytest.approx(0, abs=1e-6)
    for i in (0, 7, 31):
        # The population's covariance moves as (1 - e) B + e z z^T.
        z = rows[i].double() - moments.mean
        moved = Moments(n, moments.mean + step * z, moments.m2 * (1 - step) + step * torch.outer(z, z) * (n - 1))
        assert (real.distance(moved) - value) / step == pytest.approx(float(influence[i]), rel=0.02, abs=2e-2 * float(influence.std()))


def test_rows_and_moments_say_the_same() -> None:
    few, real = _features(50, 64, 6), _features(40, 64, 7)
    direct, from_rows = Frechet.to(Moments.of(real)), Frechet.to_rows(real)
    value, influence = direct.with_influence(Moments.of(few), few)
    for found in (direct.of_rows(few), from_rows.of_rows(few)):
        assert found[0] == pytest.approx(value, rel=1e-6)
        torch.testing.assert_close(found[1], influence, rtol=1e-3, atol=1e-3 * float(influence.std()))
    many = _features(300, 64, 8)
    assert from_rows.of_rows(many)[0] == pytest.approx(frechet_distance(Moments.of(real), Moments.of(many)), rel=1e-6)


def test_the_interval_of_gaussians_of_known_distance() -> None:
    """Of FD-infinity it holds the distance of the distributions, of FD the mean of FD: in at least 9 of 10 sets."""
    real = Frechet.to(_real())
    expected, found = real.distance(_known()), []
    assert expected == pytest.approx(24 * 0.01 + 0.09 * float(torch.logspace(0, -1, 24, dtype=torch.float64).square().sum()), rel=1e-6)
    for seed in range(50):
        rows = _gaussian(600, seed)
        folds = [Moments.of(rows[fold::FOLDS]) for fold in range(FOLDS)]
        value, influence = real.with_influence(Moments.of(rows), rows)
        infinity = fd_infinity(real, folds, value)
        found.append((value, infinity.value, *bootstrap([value, infinity.value], influence[:, None].expand(-1, 2))))
    values, infinities = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    # The distance of 600 is biased, the extrapolated one is not.
    assert values.mean() - expected > 3 * values.std() / np.sqrt(50)
    assert abs(infinities.mean() - expected) < 3 * infinities.std() / np.sqrt(50)
    assert sum(sure.low <= values.mean() <= sure.high for _, _, sure, _ in found) >= 45
    assert sum(sure.low <= expected <= sure.high for *_, sure in found) >= 45
    width = np.mean([sure.high - sure.low for *_, sure in found])
    assert 2.5 * infinities.std() < width < 6 * infinities.std()


def test_a_bias_in_one_over_n_is_taken_away() -> None:
    """Folds whose distances are a + b / n to the letter."""
    values = {60: 5 + 6 / 60, 30: 5 + 6 / 30, 20: 5 + 6 / 20}

    class Linear(Frechet):
        def distance(self, fake: Moments) -> float:
            return values[fake.n]

    real = Linear(torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64))
    found = fd_infinity(real, [Moments.of(torch.rand(10, 3)) for _ in range(FOLDS)])
    assert found.value == pytest.approx(5)
    assert [n for n, _ in found.points] == [60, 30, 20]
