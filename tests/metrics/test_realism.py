"""Realism of single pictures."""

from __future__ import annotations

import math

import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics.manifold import RealManifold


def by_definition(fake: torch.Tensor, real: torch.Tensor, k: int) -> torch.Tensor:
    radii = torch.cdist(real.double(), real.double()).kthvalue(k + 1, dim=1).values
    kept = radii <= radii.median()
    return (radii[kept] / torch.cdist(fake.double(), real[kept].double())).amax(1).float()


def test_it_is_what_the_paper_defines() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(300, 8), torch.randn(50, 8) * 1.5
    torch.testing.assert_close(RealManifold(real).realism(fake), by_definition(fake, real, 3), rtol=1e-3, atol=1e-4)


def test_near_is_more_real_than_far_and_a_copy_infinitely() -> None:
    torch.manual_seed(0)
    real = torch.randn(100, 4)
    manifold = RealManifold(real)
    near, far, copies = manifold.realism(torch.zeros(1, 4)), manifold.realism(torch.full((1, 4), 20.0)), manifold.realism(real)
    assert float(far) < 1 < float(near)
    assert int(copies.isinf().sum()) >= 50
    assert not math.isnan(float(copies.sum()))
    assert manifold.realism(torch.empty(0, 4)).shape == (0,)


def test_too_few_real_pictures_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 3 real"):
        RealManifold(torch.randn(3, 4))
