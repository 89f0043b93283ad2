"""What vectors say of a picture: of a frozen pyramid's maps, and of its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.config.matching import Summary
from ganvas.types import Images

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
    found = []
    for kind in kinds:
        if kind == "pixels":
            small = _means(images.float(), min(16, images.shape[2]))
            found += [small.flatten(1), _means(small, 4).flatten(1)]
            continue
        if kind == "edges":
            found += [_edges(images.float()), _edges(F.avg_pool2d(images.float(), 2))]
            continue
        for x in (x.float() for x in maps):
            side = x.shape[2]
            if kind == "whole":
                found.append(torch.cat([x.mean((2, 3)), _deviations(x, 1)], 1))
            elif kind == "quarters":
                found.append(_means(x, 2).flatten(1))
            elif kind == "deviations" and side >= 4:
                found.append(_deviations(x, 2))
            elif kind == "sixteenths" and side >= 4:
                found.append(_means(x, 4).flatten(1))
    return found


def _means(x: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(x, side)


def _deviations(x: Tensor, side: int) -> Tensor:
    """Standard deviations within (side x side) parts: (B, C side^2)."""
    variance = _means(x.square(), side) - _means(x, side).square()
    return (variance.clamp(min=0) + _LEAST_VARIANCE).sqrt().flatten(1)


def _edges(images: Images) -> Tensor:
    """Root mean squares of three differences within 4x4 parts: (B, 144)."""
    x = images[:, :, :-1, :-1]
    right, below, across = images[:, :, :-1, 1:] - x, images[:, :, 1:, :-1] - x, images[:, :, 1:, 1:] - images[:, :, 1:, :-1]
    squares = torch.cat([right, below, across - right], 1).square()
    return (_means(squares, 4) + _LEAST_VARIANCE / 10).sqrt().flatten(1)
