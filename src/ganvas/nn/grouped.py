"""Grouped convolutions whose gradients of gradients are convolutions too.

PyTorch's own gradient of a grouped convolution's gradient is computed group by group, which R1 and R2 ask for at each
step. A convolution is linear in the picture and in the kernel, and so are both of its gradients: each of the three is
the gradient of the other two, and oneDNN has all three.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn.reduced import is_bf16_on_cpu


def _gradient(gradient: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int, of_input: bool) -> Tensor:
    found = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], groups, [of_input, not of_input, False]
    )
    return found[0] if of_input else found[1]


class _Convolution(torch.autograd.Function):
    """y = x * w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = padding, groups
        return F.conv2d(x, weight, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        dx = _InputGradient.apply(gradients[0], weight, x.shape, *ctx.how) if ctx.needs_input_grad[0] else None
        dw = _WeightGradient.apply(gradients[0], x, weight.shape, *ctx.how) if ctx.needs_input_grad[1] else None
        return dx, dw, None, None


class _InputGradient(torch.autograd.Function):
    """dx of dy and w."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, shape: torch.Size, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.how = padding, groups
        # Of the picture, only shape and memory format matter.
        like = torch.empty(shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last)
        return _gradient(gradient, like, weight, padding, groups, of_input=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, weight = ctx.saved_tensors
        back = _Convolution.apply(gradients[0], weight, *ctx.how) if ctx.needs_input_grad[0] else None
        dw = _WeightGradient.apply(gradient, gradients[0], weight.shape, *ctx.how) if ctx.needs_input_grad[1] else None
        return back, dw, None, None, None


class _WeightGradient(torch.autograd.Function):
    """dw of dy and x."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, shape: torch.Size, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(gradient, x)
        ctx.how = padding, groups
        return _gradient(gradient, x, x.new_empty(shape), padding, groups, of_input=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, x = ctx.saved_tensors
        back = _Convolution.apply(x, gradients[0], *ctx.how) if ctx.needs_input_grad[0] else None
        dx = _InputGradient.apply(gradient, gradients[0], x.shape, *ctx.how) if ctx.needs_input_grad[1] else None
        return back, dx, None, None, None


class GroupedConv2d(nn.Conv2d):
    """A convolution of stride 1 that keeps the size, each group of maps by itself."""

    def __init__(self, entering: int, leaving: int, kernel: int, groups: int, bias: bool = True):
        """`kernel`: odd."""
        super().__init__(entering, leaving, kernel, padding=kernel // 2, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W)."""
        dtype = torch.bfloat16 if is_bf16_on_cpu(input) else self.weight.dtype
        x, weight = input.to(dtype), self.weight.to(dtype)
        with torch.autocast(input.device.type, enabled=False):
            y = cast(Tensor, _Convolution.apply(x, weight, self.kernel_size[0] // 2, self.groups))
            return y if self.bias is None else y + self.bias.to(dtype)[:, None, None]
