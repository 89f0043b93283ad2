"""How far generated pictures' features are from real ones', as a generator can learn from it without a discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
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
    """(N,): fp32, of the very numbers in `x`; no gradient passes."""
    labels: Tensor | None = None
    """(N,)"""


def points(x: Tensor, labels: Tensor | None = None) -> Points:
    """`Points` of (N, D)."""
    return Points(x, x.detach().float().square().sum(1), labels)


@torch.no_grad()
def distances(a: Points, b: Points) -> Tensor:
    """Euclidean, of each of N from each of M: (N, M), fp32; 0.01 too long where the vectors are one. No gradient passes."""
    return _squares(a, b).clamp_(min=0).add_(_LEAST).sqrt_()


def _squares(a: Points, b: Points) -> Tensor:
    """Of distances: (N, M), fp32, by rounding below zero where vectors are one."""
    squares = F.linear(a.x, b.x).float().mul_(-2).add_(a.squares[:, None]).add_(b.squares)
    if a.labels is not None and b.labels is not None:
        squares += _CLASSES_APART * (a.labels[:, None] != b.labels)
    return squares


def energy(fakes: Points, reals: Points) -> Tensor:
    """Each fake's part in the energy distance of two samples (Szekely and Rizzo 2013, eq. 6.1), up to a constant.

    2 E|x - y| - E|x - x'| with N fakes x, x' and reals y: (N,). Its mean is least where both are of one
    distribution, and its gradient is right in the mean whatever the numbers of both are (Bellemare et al. 2017,
    arXiv:1705.10743), as a fake is not compared with itself. E|y - y'| is missing, in which nothing can be learnt.
    Gradients pass to the fakes alone.
    """
    return cast(Tensor, _Energy.apply(fakes.x, fakes, reals))


class _Energy(torch.autograd.Function):
    """`energy`, with the gradient at hand: of |x - y| it is (x - y) / |x - y|, and all y together are one matrix product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fakes: Points, reals: Points) -> Tensor:
        mean, weights = _roots(_squares(fakes, reals), len(reals.x))
        apart = _squares(fakes, fakes)
        apart.fill_diagonal_(-1)  # a vector's distance from itself is none
        others, among = _roots(apart, max(1, len(x) - 1))
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(x, _towards(x, 2 * weights, reals.x), among)
        return 2 * mean - others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, slopes, among = ctx.saved_tensors
        part = gradients[0][:, None]
        # A distance between two fakes is in both their parts.
        return (slopes * part).sub_(_towards(x, among * (part + part.T), x)).to(x.dtype), None, None


def _roots(squares: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Sums of the rows' roots over `count`, (N,), and each root's reciprocal over it, (N, M). `squares` are used up.

    Both are 0 where there is no direction: by rounding, squares of vectors that are one may lie below zero.
    """
    reciprocals = F.threshold(squares, 0.0, torch.inf).add_(_LEAST).rsqrt_()
    sums = squares.add_(_LEAST).mul_(reciprocals).sum(1).div_(count)
    return sums, reciprocals.mul_(1 / count)


def _towards(x: Tensor, weights: Tensor, others: Tensor) -> Tensor:
    """Sums over j of weights_ij (x_i - others_j): (N, D), fp32, of weights (N, M)."""
    return weights.sum(1, keepdim=True) * x.float() - (weights.to(others.dtype) @ others).float()


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
