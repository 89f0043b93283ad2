"""How far generated pictures' features are from real ones', as a generator can learn from it without a discriminator."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

_LEAST = 1e-4
"""Added to squared distances, whose root would be steep without end where two vectors are one."""
_CLASSES_APART = 2.0
"""The squared distance of two classes."""


@dataclass(frozen=True)
class Points:
    """Vectors between which distances are wanted, and their classes.

    Two of different classes are farther apart than their vectors are, by as much as independent vectors of variance 1 mostly are.
    """

    x: Tensor
    """(N, D), in fp32, or in bf16 for speed: distances of vectors with a mean near zero hardly differ by that."""
    squares: Tensor
    """(N,): fp32, of the very numbers in `x`."""
    labels: Tensor | None = None
    """(N,)"""


def points(x: Tensor, labels: Tensor | None = None) -> Points:
    """`Points` of (N, D)."""
    return Points(x, x.float().square().sum(1), labels)


def distances(a: Points, b: Points) -> Tensor:
    """Euclidean, of each of N from each of M: (N, M), fp32; 0.01 too long where the vectors are one."""
    squares = a.squares[:, None] + b.squares - 2 * F.linear(a.x, b.x).float()
    if a.labels is not None and b.labels is not None:
        squares = squares + _CLASSES_APART * (a.labels[:, None] != b.labels)
    return (squares.clamp(min=0) + _LEAST).sqrt()


def energy(fakes: Points, reals: Points) -> Tensor:
    """Each fake's part in the energy distance of two samples (Szekely and Rizzo 2013, eq. 6.1), up to a constant.

    2 E|x - y| - E|x - x'| with N fakes x, x' and reals y: (N,). Its mean is least where both are of one
    distribution, and its gradient is right in the mean whatever the numbers of both are (Bellemare et al. 2017,
    arXiv:1705.10743), as a fake is not compared with itself. E|y - y'| is missing, in which nothing can be learnt.
    """
    others, count = distances(fakes, fakes), len(fakes.x)
    return 2 * distances(fakes, reals).mean(1) - (others.sum(1) - others.diagonal()) / max(1, count - 1)


def score(first: Tensor, second: Tensor, real: Tensor) -> Tensor:
    """The energy score of two samples of what was expected, beside what came (Gneiting and Raftery 2007, eq. 21, beta 1).

    |x - y| + |x' - y| - |x - x'| with samples x, x' and y what came, all (N, D): (N,). Its mean is least where samples
    are distributed as what comes, so that it asks for no mean of all that may come.
    """
    return _lengths(first - real) + _lengths(second - real) - _lengths(first - second)


def ranked(first: Tensor, second: Tensor, real: Tensor) -> Tensor:
    """`score` of each number for itself, a mean over all: the continuous ranked probability score (ibid., eq. 20)."""
    return ((first - real).abs() + (second - real).abs() - (first - second).abs()).mean()


def _lengths(x: Tensor) -> Tensor:
    return (x.square().sum(1) + _LEAST).sqrt()
