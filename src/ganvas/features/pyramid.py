"""A frozen pyramid of features that gradients pass through, at what a processor can do."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.features.efficientnet import PYRAMID, EfficientNetLite, InvertedResidual, SameConv, same_padding
from ganvas.features.fused import fused_copy
from ganvas.features.lite import LITE0, load_network
from ganvas.nn.kernels.functions import clamp
from ganvas.nn.reduced import is_bf16_on_cpu
from ganvas.types import Images

__all__ = ["PYRAMID", "FrozenPyramid"]

SMALLEST_INPUT = 64
"""A side at which the coarsest map still has 2x2 pixels."""
_ROUNDING = 0.1


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of a frozen kernel, whose gradient is one too: by the kernel turned round.

    PyTorch's gradient of one in bf16 takes up to 30 times as long as the convolution itself.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        height, width = x.shape[2:]
        kernel = weight.shape[2]
        top, bottom = same_padding(height, kernel, stride)
        left, right = same_padding(width, kernel, stride)
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.corner = x.shape, stride, (top, left)
        if top == bottom and left == right:
            return F.conv2d(x, weight, bias, stride, (top, left), groups=x.shape[1])
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        b, c, height, width = ctx.shape
        gradient, stride, reach = gradients[0], ctx.stride, weight.shape[2] - 1
        top, left = ctx.corner
        if stride == 1:
            return F.conv2d(gradient, weight.flip(2, 3), padding=(reach - top, reach - left), groups=c), None, None, None
        # Outputs are laid where they looked, zeros between them; then each input collects what looked at it.
        spread = torch.zeros(b, height + reach, width + reach, c, dtype=gradient.dtype, device=gradient.device).permute(0, 3, 1, 2)
        spread[:, :, reach - top :: stride, reach - left :: stride][:, :, : gradient.shape[2], : gradient.shape[3]] = gradient
        return F.conv2d(spread, weight.flip(2, 3), groups=c), None, None, None


class _Relu6(torch.autograd.Function):
    """min(max(x, 0), 6). PyTorch's own gradient of it is not vectorised in bf16: it took a third of the pyramid's time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clamp(0, 6)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (y,) = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradients[0], y, 0)
        return torch.ops.aten.threshold_backward(passed, 6 - y, 0)


def _relu6(x: Tensor) -> Tensor:
    y = clamp(x, 6.0)
    return cast(Tensor, _Relu6.apply(x)) if y is None else y


def _pointwise(layer: SameConv, x: Tensor) -> Tensor:
    return F.linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias).permute(0, 3, 1, 2)


class _FrozenBlock(nn.Module):
    """An inverted residual that does not learn: its 1x1 convolutions as matrix products, nothing in place."""

    def __init__(self, block: InvertedResidual):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        block, depthwise = self.block, self.block.depthwise
        y = x if block.expand is None else _relu6(_pointwise(block.expand, x))
        y = cast(Tensor, _Depthwise.apply(y, depthwise.weight, depthwise.bias, depthwise.stride[0]))
        y = _pointwise(block.project, _relu6(y))
        return y + x if block.residual else y


def _frozen_in_bf16(network: EfficientNetLite) -> EfficientNetLite:
    """A copy in bf16 with `_FrozenBlock`s."""
    half = copy.deepcopy(network).to(torch.bfloat16)
    for stage in half.stages:
        for name, block in list(stage.named_children()):
            if isinstance(block, InvertedResidual):
                setattr(stage, name, _FrozenBlock(block))
    return half


class FrozenPyramid:
    """EfficientNet-Lite0's maps at strides 4, 8, 16 and 32 of pictures in [-1, 1].

    No `nn.Module`: its weights are known by their checksum, belong to no checkpoint and to no optimizer, and nothing
    that freezes or thaws a discriminator may reach them.
    """

    def __init__(self) -> None:
        """Raises `UsageError` where the weights are missing."""
        self.full = load_network(LITE0)[0].to(memory_format=torch.channels_last)
        self._half: EfficientNetLite | None = None
        self._fused: dict[torch.Size, EfficientNetLite | None] = {}

    def __call__(self, images: Images) -> list[Tensor]:
        """Four maps of (B, 3, H, W), H and W multiples of 32; in bf16 where the processor computes in it."""
        if not is_bf16_on_cpu(images):
            if self.full.classifier.weight.device != images.device:
                self.full.to(images.device)
            return self.full.pyramid(images)
        if self._half is None:
            self._half = _frozen_in_bf16(self.full)
        with torch.autocast("cpu", enabled=False):
            half = images.to(torch.bfloat16)
            if torch.is_grad_enabled() and images.requires_grad:
                return self._half.pyramid(half)
            faster = self._without_gradients(half)
            with torch.no_grad():
                return (faster or self._half).pyramid(half)

    def _without_gradients(self, images: Tensor) -> EfficientNetLite | None:
        """The network in bf16 for pictures that no gradient goes back to, in half the time; None where it can't be had."""
        if images.shape not in self._fused:
            right = self.full.pyramid(images.float())
            network = copy.deepcopy(self.full).to(torch.bfloat16)
            self._fused[images.shape] = fused_copy(network, images, lambda other: _close(other.pyramid(images), right))
        return self._fused[images.shape]


def _close(maps: list[Tensor], right: list[Tensor]) -> bool:
    """Whether maps in bf16 are what they are in float32 but for rounding, which adds up to some per cent in the last."""
    return all(bool((a.float() - b).norm() <= _ROUNDING * b.norm()) for a, b in zip(maps, right, strict=True))


def resized(images: Images, side: int) -> Tensor:
    """Pictures (B, 3, R, R) as the pyramid is to see them: (B, 3, side, side)."""
    if images.shape[2] == side:
        return images
    options: dict[str, Any] = {"mode": "area"} if images.shape[2] > side else {"mode": "bilinear"}
    return F.interpolate(images, size=(side, side), **options)
