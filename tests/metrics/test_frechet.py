from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics.frechet import frechet_distance
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
