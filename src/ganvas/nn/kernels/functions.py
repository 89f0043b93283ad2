"""The kernels as functions with gradients. Gradients of gradients raise: penalties run in fp32, on PyTorch's operators."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ganvas.nn.kernels.calls import MOST_PLACES, Kernels, Normed, Running, kernels, ready_for

_MOST_WEIGHTS = 1 << 27
"""A quarter of a gigabyte: PyTorch's fused kernel is slower, and keeps none of them."""


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, kernels: Kernels, running: Running | None, eps: float, slope: float
    ) -> Tensor:
        normed = kernels.norm(x, gain, offset, running, eps, slope)
        ctx.save_for_backward(x, offset, normed.mean, normed.inverse, normed.scale)
        ctx.kernels, ctx.slope = kernels, slope
        return normed.y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, offset, mean, inverse, scale = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        found = ctx.kernels.norm_backward(x, dy, Normed(x, mean, inverse, scale), offset, ctx.slope)
        return *(gradient if needed else None for gradient, needed in zip(found, ctx.needs_input_grad, strict=False)), *[None] * 4


def norm(x: Tensor, gain: Tensor, offset: Tensor, running: Running | None, eps: float, slope: float) -> Tensor | None:
    """Batch norm of the batch, then leaky ReLU, (B, C, H, W) to the same shape; None where PyTorch has to do it.

    Args:
        x: in bf16.
        gain: (C,), or (B, C) for each picture its own; fp32, as `offset`.
        offset: likewise.
        running: statistics to be moved, if any.
        eps: added to the variance.
        slope: of the leaky ReLU; 0 makes it ReLU, 1 none.
    """
    kernels = ready_for(x)
    alone = x.shape[0] * x.shape[2] * x.shape[3] < 2  # PyTorch says what is wrong with that
    kept = (running.mean, running.variance) if running else ()
    if kernels is None or alone or any(t.dtype != torch.float32 or not t.is_contiguous() for t in (gain, offset, *kept)):
        return None
    return cast(Tensor, _Norm.apply(x, gain, offset, kernels, running, eps, slope))


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Kernels, slope: float, inplace: bool) -> Tensor:
        y = kernels.activate(x, slope, inplace)
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        ctx.kernels, ctx.slope = kernels, slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        return ctx.kernels.activate_backward(ctx.saved_tensors[0], dy, ctx.slope), None, None, None


def activation(x: Tensor, slope: float, inplace: bool = False) -> Tensor | None:
    """Leaky ReLU with a slope from 0 (ReLU) to 1, (B, C, H, W) to the same shape; None where PyTorch has to do it.

    Only where gradients are needed: the next layer keeps the output, from which they follow.
    """
    if not (torch.is_grad_enabled() and x.requires_grad and 0 <= slope <= 1):
        return None
    kernels = ready_for(x)
    return None if kernels is None else cast(Tensor, _Activation.apply(x, kernels, slope, inplace))


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Kernels, top: float) -> Tensor:
        y = kernels.clamp(x, top)
        ctx.save_for_backward(y)
        ctx.kernels, ctx.top = kernels, top
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        return ctx.kernels.clamp_backward(ctx.saved_tensors[0], dy, ctx.top), None, None


def clamp(x: Tensor, top: float) -> Tensor | None:
    """min(max(x, 0), top), (B, C, H, W) to the same shape; None where PyTorch has to do it."""
    kernels = ready_for(x)
    return None if kernels is None else cast(Tensor, _Clamp.apply(x, kernels, top))


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Kernels) -> Tensor:
        ctx.save_for_backward(x)
        ctx.kernels = kernels
        return kernels.gate(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        return ctx.kernels.gate_backward(ctx.saved_tensors[0], dy), None


def gate(x: Tensor) -> Tensor | None:
    """One half of the maps times the logistic function of the other, (B, 2C, H, W) to (B, C, H, W); None where PyTorch has to do it."""
    kernels = ready_for(x)
    return None if kernels is None or x.shape[1] % 2 else cast(Tensor, _Gate.apply(x, kernels))


class _Attention(torch.autograd.Function):
    """The gradients of queries, keys and values are computed as (B, d, ·): narrow matrices are faster on the left."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, kernels: Kernels) -> Tensor:
        query, key = query.contiguous(), key.contiguous()
        weights = kernels.attention(query, key)
        ctx.save_for_backward(query, key, value, weights)
        ctx.kernels = kernels
        return torch.bmm(weights, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        query, key, value, weights = ctx.saved_tensors
        dy = gradients[0]
        d_value = torch.bmm(dy.transpose(1, 2), weights).transpose(1, 2)
        d_scores = ctx.kernels.attention_backward(weights, torch.bmm(dy, value.transpose(1, 2)))
        d_query = torch.bmm(key.transpose(1, 2), d_scores.transpose(1, 2)).transpose(1, 2)
        return d_query, torch.bmm(query.transpose(1, 2), d_scores).transpose(1, 2), d_value, None


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
    """softmax(Q K^T) V: (B, M, d), (B, N, d) and (B, N, v) to (B, M, v); None where PyTorch has to do it.

    The weights (B, M, N) are kept for the gradient, up to `_MOST_WEIGHTS`.
    """
    plain = all(type(t) is Tensor and t.dtype == torch.bfloat16 and t.device.type == "cpu" for t in (query, key, value))
    places = key.shape[1]
    weights = query.shape[0] * query.shape[1] * places
    taken = plain and places % 16 == 0 and places <= MOST_PLACES and query.numel() > 0 and 0 < weights <= _MOST_WEIGHTS
    if not taken or torch.compiler.is_compiling():
        return None
    library = kernels()
    return None if library is None else cast(Tensor, _Attention.apply(query, key, value, library))
