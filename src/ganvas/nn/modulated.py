"""Layers of style-based networks: equalised convolutions, and those that a style modulates (Karras et al. 2020, StyleGAN2).

A style scales the maps that enter a convolution, picture by picture. Scaling the weights instead, as the paper writes
it, takes a kernel for each picture and a convolution of as many groups as there are pictures, which is slow on a
processor. Convolution is linear, so that the entering maps are scaled before one shared kernel, and the leaving ones
are divided by their expected size (eq. 3) after it: the same numbers.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn.linear import EqualizedLinear
from ganvas.nn.resample import blur, convolve, convolve_and_halve, double_and_convolve, map_pixels

SLOPE = 0.2
"""Of the leaky ReLU throughout (Karras et al. 2020, appendix B)."""
GAIN = math.sqrt(2)
"""What keeps the size of unit-variance maps over a leaky ReLU (He et al. 2015); with equalised layers it is a factor."""
EPS = 1e-8

Resampling = Literal["up", "down"]


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(x, SLOPE)


def apply_kernel(x: Tensor, weight: Tensor, bias: Tensor | None = None, resampling: Resampling | None = None) -> Tensor:
    """A convolution by 1x1 or 3x3 that keeps the size; with 3x3, doubled or halved by the filter [1, 3, 3, 1]."""
    if weight.shape[2] == 1:
        return map_pixels(x, weight, bias)
    if resampling == "up":
        return blur(double_and_convolve(x, weight, bias))
    if resampling == "down":
        return convolve_and_halve(blur(x), weight, bias)
    return convolve(x, weight, bias)


class EqualizedConv(nn.Conv2d):
    """A convolution with weights from N(0, 1), divided by the root of their number when used; see `EqualizedLinear`."""

    def __init__(
        self, entering: int, leaving: int, kernel: int, *, bias: bool = True, resampling: Resampling | None = None, gain: float = 1.0
    ):
        super().__init__(entering, leaving, kernel, padding=kernel // 2, bias=bias)
        self.resampling: Resampling | None = resampling
        self.gain, self.scale = gain, gain / math.sqrt(entering * kernel**2)

    def reset_parameters(self) -> None:
        """N(0, 1), biases zero."""
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), or half of H and W."""
        bias = None if self.bias is None else self.bias * self.gain
        return apply_kernel(input, self.weight * self.scale, bias, self.resampling)


class ModulatedConv(nn.Module):
    """A convolution whose entering maps a style scales, its leaving ones brought back to unit variance (eq. 1 and 3).

    w'_ijk = s_i w_ijk, and w''_ijk = w'_ijk / sqrt(sum over i and k of w'_ijk^2 + eps): i for entering maps, j for
    leaving ones, k for places of the kernel. `gain` multiplies what leaves.
    """

    def __init__(
        self,
        entering: int,
        leaving: int,
        kernel: int,
        style_size: int,
        *,
        demodulate: bool = True,
        resampling: Literal["up"] | None = None,
        gain: float = 1.0,
    ):
        super().__init__()
        self.resampling: Resampling | None = resampling
        self.demodulate, self.gain = demodulate, gain
        self.scale = 1 / math.sqrt(entering * kernel**2)
        self.weight = nn.Parameter(torch.randn(leaving, entering, kernel, kernel))
        # Styles begin around one: at first no map is favoured.
        self.style = EqualizedLinear(style_size, entering, start=1.0)

    def forward(self, x: Tensor, style: Tensor, bias: Tensor) -> Tensor:
        """(B, C, H, W) and styles (B, size) to (B, C', H, W), or twice H and W; `bias` (C',) is not modulated."""
        weight = self.weight * self.scale
        with torch.autocast(x.device.type, enabled=False):
            factors = self.style(style.float())
            sizes = self._sizes(factors, weight)
        y = apply_kernel(x * _of_maps(factors, x.dtype), weight, None, self.resampling)
        return torch.addcmul(bias.to(y.dtype)[:, None, None], y, _of_maps(sizes, y.dtype))

    def _sizes(self, factors: Tensor, weight: Tensor) -> Tensor:
        """(B, C'): what the leaving maps are multiplied by."""
        if not self.demodulate:
            return factors.new_full((1, len(weight)), self.gain)
        return self.gain * torch.rsqrt(factors.square() @ weight.square().sum((2, 3)).t() + EPS)


def _of_maps(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    return numbers.to(dtype)[:, :, None, None]
