"""Resampling of pictures through affine maps, in a form that can be differentiated twice."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

_BILINEAR, _REFLECTION = 0, 2
"""As `aten::grid_sampler_2d` numbers them."""


def centres(size: int, like: Tensor) -> Tensor:
    """(size,) the centres of pixels, where -1 and 1 are the picture's edges."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) * 2 + 1) / size - 1


def places(maps: Tensor, height: int, width: int) -> Tensor:
    """(B, height, width, 2): where affine `maps` (B, 2, 3) send the centres of pixels, x before y.

    Not by `F.affine_grid`, which takes as long as the sampling itself.
    """
    x = centres(width, maps).view(1, 1, width)
    y = centres(height, maps).view(1, height, 1)
    grid = maps.new_empty(len(maps), height, width, 2)
    for axis in (0, 1):
        of_x, of_y, shift = maps[:, axis].view(-1, 3, 1, 1).unbind(1)
        torch.add(of_x * x, of_y * y + shift, out=grid[..., axis])
    return grid


def _cubic(d: Tensor) -> Tensor:
    """Keys' interpolation kernel at distances d, in pixels (Keys 1981, with a = -1/2)."""
    d = d.abs()
    near, far = (1.5 * d - 2.5) * d * d + 1, ((2.5 - 0.5 * d) * d - 4) * d + 2
    return torch.where(d < 1, near, torch.where(d < 2, far, 0.0))


@cache
def _doubling(size: int) -> Tensor:
    """(2 size, size): cubic interpolation at the centres of half as large pixels, reflected at the edges."""
    at = (torch.arange(2 * size, dtype=torch.float64) + 0.5) / 2 - 0.5
    near = at.floor().long()[:, None] + torch.arange(-1, 3)
    weights = _cubic(at[:, None] - near)
    near = near.remainder(2 * size)
    reflected = torch.where(near < size, near, 2 * size - 1 - near)
    return torch.zeros(2 * size, size, dtype=torch.float64).scatter_add_(1, reflected, weights)


def doubled(images: Tensor) -> Tensor:
    """Pictures (B, C, H, W) at twice the resolution, by cubic interpolation, reflected at their edges."""
    rows, columns = (_doubling(size).to(images) for size in images.shape[2:])
    # The kernel as a matrix, since a product of small matrices is faster than a convolution of three maps.
    return rows @ (images @ columns.t())


def halved(images: Tensor) -> Tensor:
    """Pictures (B, C, 2H, 2W) at half the resolution: the transpose of `doubled`, which leaves even colours as they are."""
    rows, columns = (_doubling(size // 2).to(images) for size in images.shape[2:])
    return rows.t() @ (images @ columns) / 4


class _Gather(torch.autograd.Function):
    """Bilinear sampling, which is linear in the picture: its gradient is `_Scatter`, whose gradient is this again.

    PyTorch's own gradient of `grid_sample` has none.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grid,) = ctx.saved_tensors
        return cast(Tensor, _Scatter.apply(gradients[0], grid, ctx.shape)), None


class _Scatter(torch.autograd.Function):
    """The transpose of `_Gather`: each value added to the pixels that it would be read from."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        # Of the picture itself only the shape counts, since no gradient of the grid is asked for.
        picture, mask = values.new_empty(shape), [True, False]
        return torch.ops.aten.grid_sampler_2d_backward(values, picture, grid, _BILINEAR, _REFLECTION, False, mask)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grid,) = ctx.saved_tensors
        return cast(Tensor, _Gather.apply(gradients[0], grid)), None, None


def gather(images: Tensor, grid: Tensor) -> Tensor:
    """Pictures (B, C, H, W) read bilinearly at places (B, H', W', 2) in [-1, 1], reflected at their edges.

    Gradients of any order flow to the pictures, none to the places.
    """
    return cast(Tensor, _Gather.apply(images, grid))


def warped(images: Tensor, maps: Tensor) -> Tensor:
    """Pictures (B, C, H, W) through affine maps (B, 2, 3), read at twice the resolution: none that shrinks to half its size aliases."""
    height, width = images.shape[2:]
    return halved(gather(doubled(images), places(maps, 2 * height, 2 * width)))
