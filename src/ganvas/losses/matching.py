"""How far generated pictures' features are from real ones', as a generator can learn from it without a discriminator."""

from __future__ import annotations

from torch import Tensor

_LEAST = 1e-4
"""Added to squared distances, whose root would be steep without end where two vectors are one."""


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean, of each of (N, D) from each of (M, D): (N, M); 0.01 too long where the vectors are one."""
    squares = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * (a @ b.T)
    return (squares.clamp(min=0) + _LEAST).sqrt()


def energy(fakes: Tensor, reals: Tensor) -> Tensor:
    """Each fake's part in the energy distance of two samples (Szekely and Rizzo 2013, eq. 6.1), up to a constant.

    2 E|x - y| - E|x - x'| with fakes x, x' (N, D) and reals y (M, D): (N,). Its mean is least where both are of one
    distribution, and its gradient is right in the mean whatever N and M are (Bellemare et al. 2017, arXiv:1705.10743), as
    a fake is not compared with itself. E|y - y'| is missing, in which nothing can be learnt.
    """
    others = distances(fakes, fakes)
    return 2 * distances(fakes, reals).mean(1) - (others.sum(1) - others.diagonal()) / max(1, len(fakes) - 1)
