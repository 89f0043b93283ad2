"""What vectors say of a picture: of a frozen pyramid's maps, and of its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ganvas.config.matching import Summary
from ganvas.types import Images

OF_PICTURES: tuple[Summary, ...] = ("pixels", "edges")
"""Kinds that say something of the picture itself, and nothing of maps."""
PARTS = 4
"""Along each side, at most."""
LEAST_SPREAD = 0.1
"""A feature's standard deviation, as a share of its group's mean one, that it is taken for at least."""
_LEAST_VARIANCE = 1e-2
"""Added to variances, whose root would be steep without end at a flat map."""


def summaries(kinds: Sequence[Summary], maps: Sequence[Tensor], images: Images) -> list[Tensor]:
    """The vectors (B, D) of each kind for each of the maps that is large enough, each compared for itself, in fp32.

    Args:
        kinds: `whole`: each map's mean and standard deviation; `quarters`: means over 2x2 parts; `deviations`: standard
            deviations within them; `sixteenths`: means over 4x4 parts; `pixels`: the picture reduced to 16 and to 4 pixels;
            `edges`: how much neighbouring pixels differ, along rows, columns and both, within 4x4 parts of the picture and of
            its half, where a frozen network is blind to fine patterns that people see.
        maps: (B, C, s, s), of each scale.
        images: (B, 3, R, R).
    """
    parts = [_Parts(x) for x in maps]
    found = []
    for kind in kinds:
        if kind == "pixels":
            small = _means(images.float(), min(16, images.shape[2]))
            found += [small.flatten(1), _means(small, 4).flatten(1)]
            continue
        if kind == "edges":
            found += [_edges(images.float()), _edges(F.avg_pool2d(images.float(), 2))]
            continue
        for of in parts:
            if kind == "whole":
                means, variances = of.moments(1)
                found.append(torch.cat([means, _deviations(variances)], 1).flatten(1))
            elif kind == "quarters":
                found.append(of.moments(2)[0].flatten(1))
            elif kind == "deviations" and of.side >= PARTS:
                found.append(_deviations(of.moments(2)[1]).flatten(1))
            elif kind == "sixteenths" and of.side >= PARTS:
                found.append(of.moments(PARTS)[0].flatten(1))
    return found


class _Parts:
    """A map cut into parts, each way once: the largest parts' moments are made of the smallest ones'."""

    def __init__(self, x: Tensor):
        self.x, self.side = x, x.shape[2]
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def moments(self, count: int) -> tuple[Tensor, Tensor]:
        """Means and variances of count x count parts: (B, C, count, count)."""
        if count not in self._known:
            if count < PARTS and self.side % PARTS == 0:
                means, variances = self.moments(PARTS)
                squares = variances + means.square()
                means, squares = _means(means, count), _means(squares, count)
            else:
                means, squares = _sums(self.x, count)
            self._known[count] = means, squares - means.square()
        return self._known[count]


def _sums(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Means of count x count parts of maps (B, C, s, s), and of their squares: (B, C, count, count) in fp32."""
    if x.shape[2] % count == 0 == x.shape[3] % count:
        return cast(tuple[Tensor, Tensor], _Moments.apply(x, count))
    x = x.float()
    return _means(x, count), _means(x.square(), count)


class _Moments(torch.autograd.Function):
    """`_sums` of parts that do not overlap. Its gradient is one pass over the map, where those of pooling and squaring are four."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        x = x.float()
        return _means(x, count), _means(x.square(), count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        b, c, height, width = x.shape
        count = gradients[0].shape[2]
        rows, columns = height // count, width // count
        laid_out = x.permute(0, 2, 3, 1).float().contiguous().view(b, count, rows, count, columns, c)
        first, second = ((g.permute(0, 2, 3, 1) / (rows * columns)).contiguous().view(b, count, 1, count, 1, c) for g in gradients)
        found = torch.addcmul(first, laid_out, second, value=2).to(x.dtype)
        return found.view(b, height, width, c).permute(0, 3, 1, 2), None


def spreads(features: Tensor) -> Tensor:
    """(D,): standard deviations of the numbers of (N, D) features, none taken for less than a tenth of their mean one."""
    spread = features.std(0, unbiased=False)
    return spread.clamp(min=LEAST_SPREAD * float(spread.mean()) + 1e-6)


def _means(x: Tensor, side: int) -> Tensor:
    """Of side x side parts, which overlap where the map can't be cut evenly."""
    return F.avg_pool2d(x, x.shape[2] // side) if x.shape[2] % side == 0 == x.shape[3] % side else F.adaptive_avg_pool2d(x, side)


def _deviations(variances: Tensor) -> Tensor:
    return (variances.clamp(min=0) + _LEAST_VARIANCE).sqrt()


def _edges(images: Images) -> Tensor:
    """Root mean squares of three differences within 4x4 parts: (B, 144)."""
    return (cast(Tensor, _Differences.apply(images)) + _LEAST_VARIANCE / 10).sqrt().flatten(1)


class _Differences(torch.autograd.Function):
    """Mean squares, within 4x4 parts, of neighbouring pixels' differences along rows, along columns, and of those of both.

    (B, C, H, W) to (B, 3 C, 4, 4). Pooling is two matrix products, and the gradient is laid down where it belongs without
    a map of zeros for each slice.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        x = images.contiguous()
        corner = x[:, :, :-1, :-1]
        right, below = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
        found = torch.cat([right, below, x[:, :, 1:, 1:] - x[:, :, 1:, :-1] - right], 1)
        rows, columns = (_pooling(size, found) for size in found.shape[2:])
        ctx.save_for_backward(found, rows, columns)
        return rows @ (found.square() @ columns.T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        found, rows, columns = ctx.saved_tensors
        right, below, across = (rows.T @ (2 * gradients[0] @ columns)).mul_(found).chunk(3, 1)
        right = right - across
        b, c, height, width = right.shape
        gradient = found.new_zeros(b, c, height + 1, width + 1)
        gradient[:, :, :-1, :-1].sub_(right).sub_(below)
        gradient[:, :, :-1, 1:].add_(right)
        gradient[:, :, 1:, :-1].add_(below).sub_(across)
        gradient[:, :, 1:, 1:].add_(across)
        return gradient


def _pooling(size: int, like: Tensor) -> Tensor:
    """(4, size): the weights by which `_means` makes four numbers of so many."""
    return F.adaptive_avg_pool1d(torch.eye(size, dtype=like.dtype, device=like.device), 4).T.contiguous()
