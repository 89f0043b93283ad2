"""Convolutions of residual blocks, and those that change the resolution too.

Doubling a map (each pixel four times) and then convolving it by 3x3 is one transposed convolution of stride 2 by 4x4,
whose kernel holds sums of the 3x3 one; convolving by 3x3 and then averaging 2x2 pixels is one convolution of stride 2
by 4x4 (Karras et al. 2018 fuse these too). Both are exact, also at the borders, and take 16 products where there were 36.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ganvas.nn.conv import across, convolve_down, convolve_up
from ganvas.nn.reduced import is_bf16_on_cpu

_SMALL_AREA = 64
"""Up to this area, the gradient of a 3x3 kernel is faster as a matrix product of patches."""


def widen(kernel: Tensor) -> Tensor:
    """(A, B, 3, 3) to (A, B, 4, 4): the kernel plus itself shifted by one row, one column and both."""
    rows = F.pad(kernel, (0, 0, 0, 1)) + F.pad(kernel, (0, 0, 1, 0))
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))


def pool(x: Tensor) -> Tensor:
    """The mean of 2x2 pixels, (B, C, H, W) to (B, C, H/2, W/2)."""
    return F.avg_pool2d(x, 2)


class _Double(torch.autograd.Function):
    """Each pixel four times. PyTorch's own gradient of it sums as slowly as 20 times this."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return F.avg_pool2d(gradients[0], 2, divisor_override=1)


def double(x: Tensor) -> Tensor:
    """Each pixel four times, (B, C, H, W) to (B, C, 2H, 2W)."""
    return cast(Tensor, _Double.apply(x))


class _Blur(torch.autograd.Function):
    """[1, 2, 1] / 4 along rows and columns, zeros beyond the edges: its own transpose, so that all its gradients are itself.

    A depthwise convolution is fast in bf16, but PyTorch's gradient of it takes 30 times as long, and so do sums of
    shifted maps.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        line = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, kernel, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return blur(gradients[0])


def blur(x: Tensor) -> Tensor:
    """Each pixel's weighted mean with its neighbours, [1, 2, 1] / 4 along rows and columns, (B, C, H, W) to the same shape.

    After `double` or before `pool`, which filter by [1, 1], it makes up the filter [1, 3, 3, 1] of Karras et al. 2020
    (StyleGAN2, appendix B).
    """
    return cast(Tensor, _Blur.apply(x.contiguous(memory_format=torch.channels_last)))


def smooth_double(x: Tensor) -> Tensor:
    """Bilinear interpolation to twice the size, [1, 3, 3, 1] / 4 along rows and columns; zeros beyond the edges."""
    # Each pixel twice, then [1, 2, 1]: the same sums.
    return blur(double(x))


def smooth_pool(x: Tensor) -> Tensor:
    """[1, 3, 3, 1] / 8 along rows and columns at every other pixel, (B, C, H, W) to (B, C, H/2, W/2); zeros beyond the edges."""
    return pool(blur(x))


def _patches(x: Tensor) -> Tensor:
    """3x3 patches of stride 1 and padding 1, (B, C, H, W) to (B * H * W, 9 C), ordered row, column, channel."""
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    b, height, width, c = padded.shape
    s = padded.stride()
    # Three neighbours in a row of a channels_last picture are one run of 3 C numbers.
    rows = padded.as_strided((b, height - 2, width - 2, 3, 3 * c), (s[0], s[1], s[2], s[1], 1))
    return rows.reshape(-1, 9 * c)


class _Convolution3x3(torch.autograd.Function):
    """oneDNN's convolution, but for small maps' gradient of the kernel: there a product of patches is 1.3 to 3 times as fast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        dx = dw = db = None
        if ctx.needs_input_grad[0]:
            dx = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
            )[0]
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1])
        if ctx.needs_input_grad[1]:
            out, entering = weight.shape[:2]
            dw = (across(rows, _patches(x))).view(out, 3, 3, entering).permute(0, 3, 1, 2)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            db = rows.sum(0, dtype=torch.float32)
        return dx, dw, db


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 3x3 convolution that keeps the size, (B, C, H, W) by (C', C, 3, 3) to (B, C', H, W)."""
    if not is_bf16_on_cpu(x) or x.shape[2] * x.shape[3] > _SMALL_AREA or len(weight) < 16:
        return F.conv2d(x, weight, bias, padding=1)
    x, weight = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last), weight.to(torch.bfloat16)
    bias = None if bias is None else bias.to(torch.bfloat16)
    with torch.autocast("cpu", enabled=False):
        return _Convolution3x3.apply(x, weight, bias)


def map_pixels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear map of each pixel, (B, C, H, W) by (C', C, 1, 1) to (B, C', H, W), in channels_last memory."""
    return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def double_and_convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Each pixel four times, then a 3x3 convolution: (B, C, H, W) by (C', C, 3, 3) to (B, C', 2H, 2W)."""
    # A transposed convolution lays its kernel down, which is a convolution by the kernel turned round.
    return convolve_up(x, widen(weight.flip(2, 3)).transpose(0, 1), bias)


def convolve_and_halve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 3x3 convolution, then the mean of 2x2 pixels: (B, C, H, W) by (C', C, 3, 3) to (B, C', H/2, W/2); H and W even."""
    return convolve_down(x, widen(weight) / 4, bias)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution that keeps the size."""

    def __init__(self, entering: int, leaving: int, bias: bool = True):
        super().__init__(entering, leaving, 3, padding=1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W)."""
        return convolve(input, self.weight, self.bias)


class Conv1x1(nn.Conv2d):
    """A linear map of each pixel."""

    def __init__(self, entering: int, leaving: int, bias: bool = True):
        super().__init__(entering, leaving, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), in channels_last memory."""
        return map_pixels(input, self.weight, self.bias)


class UpConv3x3(nn.Conv2d):
    """Doubles a map, each pixel four times, then convolves it by 3x3."""

    def __init__(self, entering: int, leaving: int, bias: bool = True):
        super().__init__(entering, leaving, 3, padding=1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        return double_and_convolve(input, self.weight, self.bias)


class DownConv3x3(nn.Conv2d):
    """Convolves a map by 3x3, then averages 2x2 pixels."""

    def __init__(self, entering: int, leaving: int, bias: bool = True):
        super().__init__(entering, leaving, 3, padding=1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/2, W/2); H and W even."""
        return convolve_and_halve(input, self.weight, self.bias)
