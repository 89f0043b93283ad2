"""What vectors say of a picture: of a frozen pyramid's maps, and of its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.config.matching import Summary
from ganvas.types import Images

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
    parts = [_Parts(x.float()) for x in maps]
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
            else:
                means, squares = self.x, self.x.square()
            means, squares = _means(means, count), _means(squares, count)
            self._known[count] = means, squares - means.square()
        return self._known[count]


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
    x = images[:, :, :-1, :-1]
    right, below, across = images[:, :, :-1, 1:] - x, images[:, :, 1:, :-1] - x, images[:, :, 1:, 1:] - images[:, :, 1:, :-1]
    squares = torch.cat([right, below, across - right], 1).square()
    return (_means(squares, 4) + _LEAST_VARIANCE / 10).sqrt().flatten(1)
