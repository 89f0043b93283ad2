"""A frozen pyramid of features that gradients pass through, at what a processor can do."""

from __future__ import annotations

import copy
import functools
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ganvas.features.efficientnet import PYRAMID, EfficientNetLite, InvertedResidual, SameConv, same_padding
from ganvas.features.fused import fused_copy
from ganvas.features.lite import LITE0, load_network
from ganvas.nn.kernels.calls import ready_for
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
        ctx.shape, ctx.stride = x.shape, stride
        if top == bottom and left == right:
            return F.conv2d(x, weight, bias, stride, (top, left), groups=x.shape[1])
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _depthwise_gradient(gradients[0], ctx.saved_tensors[0], ctx.shape, ctx.stride), None, None, None


def _depthwise_gradient(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """Of a "same" depthwise convolution, with respect to its input, which has this shape."""
    b, c, height, width = shape
    reach = weight.shape[2] - 1
    top, left = (same_padding(size, reach + 1, stride)[0] for size in (height, width))
    if stride == 1:
        return F.conv2d(gradient, weight.flip(2, 3), padding=(reach - top, reach - left), groups=c)
    # Outputs are laid where they looked, zeros between them; then each input collects what looked at it.
    spread = torch.zeros(b, height + reach, width + reach, c, dtype=gradient.dtype, device=gradient.device).permute(0, 3, 1, 2)
    spread[:, :, reach - top :: stride, reach - left :: stride][:, :, : gradient.shape[2], : gradient.shape[3]] = gradient
    return F.conv2d(spread, weight.flip(2, 3), groups=c)


class _Relu6(torch.autograd.Function):
    """min(max(x, 0), 6). PyTorch's own gradient of it is not vectorised in bf16: it took a third of the pyramid's time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clamp(0, 6)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _relu6_gradient(gradients[0], ctx.saved_tensors[0])


def _relu6_gradient(gradient: Tensor, y: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(torch.ops.aten.threshold_backward(gradient, y, 0), 6 - y, 0)


def _relu6(x: Tensor) -> Tensor:
    y = clamp(x, 6.0)
    return cast(Tensor, _Relu6.apply(x)) if y is None else y


def _pointwise(layer: SameConv, x: Tensor) -> Tensor:
    return F.linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias).permute(0, 3, 1, 2)


class _Fused(torch.autograd.Function):
    """A block's forward pass in fused operators, which keep no map from before an activation; its gradient by the plain weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: InvertedResidual, faster: InvertedResidual) -> Tensor:
        wide = x if faster.expand is None else faster.expand(x)
        y = faster.depthwise(wide)
        ctx.save_for_backward(wide, y)
        ctx.block = block
        return faster.project(y, x if block.residual else None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide, y = ctx.saved_tensors
        block: InvertedResidual = ctx.block
        leaving = gradients[0].contiguous(memory_format=torch.channels_last)
        gradient = _through_clamp(_pointwise_gradient(block.project, leaving), y)
        if block.expand is None:
            gradient = _depthwise_gradient(gradient, block.depthwise.weight, wide.shape, block.depthwise.stride[0])
        else:
            gradient = _pointwise_gradient(block.expand, _through_clamp_and_depthwise(gradient, block.depthwise, wide))
        return gradient + leaving if block.residual else gradient, None, None


def _through_clamp(gradient: Tensor, y: Tensor) -> Tensor:
    kernels = ready_for(y)
    if kernels is None:
        return _relu6_gradient(gradient, y)
    return kernels.clamp_backward(y, gradient.contiguous(memory_format=torch.channels_last), 6.0)


def _through_clamp_and_depthwise(gradient: Tensor, layer: SameConv, entered: Tensor) -> Tensor:
    """Of what was clamped to `entered`, the convolution's input."""
    stride, side = layer.stride[0], layer.weight.shape[2]
    kernels = ready_for(entered)
    if stride == 1 or kernels is None:  # oneDNN's convolution is faster where no zeros have to be laid out for it
        return _through_clamp(_depthwise_gradient(gradient, layer.weight, entered.shape, stride), entered)
    before = same_padding(entered.shape[2], side, stride)[0], same_padding(entered.shape[3], side, stride)[0]
    weight = layer.weight[:, 0].permute(1, 2, 0).float().contiguous()
    return kernels.depthwise_backward(gradient.contiguous(memory_format=torch.channels_last), weight, entered, stride, before, 6.0)


def _pointwise_gradient(layer: SameConv, gradient: Tensor) -> Tensor:
    return F.linear(gradient.permute(0, 2, 3, 1), layer.weight.flatten(1).T).permute(0, 3, 1, 2)


class _FrozenBlock(nn.Module):
    """An inverted residual that does not learn: its 1x1 convolutions as matrix products, nothing in place."""

    def __init__(self, block: InvertedResidual, faster: InvertedResidual | None = None):
        """`faster`: the same block, fused, for pictures of one shape."""
        super().__init__()
        self.block, self.faster = block, faster

    def forward(self, x: Tensor) -> Tensor:
        block, depthwise = self.block, self.block.depthwise
        if self.faster is not None:
            return cast(Tensor, _Fused.apply(x, block, self.faster))
        y = x if block.expand is None else _relu6(_pointwise(block.expand, x))
        y = cast(Tensor, _Depthwise.apply(y, depthwise.weight, depthwise.bias, depthwise.stride[0]))
        y = _pointwise(block.project, _relu6(y))
        return y + x if block.residual else y


def _frozen_in_bf16(network: EfficientNetLite, faster: EfficientNetLite | None) -> EfficientNetLite:
    """A copy in bf16 with `_FrozenBlock`s."""
    half = copy.deepcopy(network).to(torch.bfloat16)
    for index, stage in enumerate(half.stages):
        for name, block in list(stage.named_children()):
            fused = None if faster is None else cast(InvertedResidual, faster.stages[index].get_submodule(name))
            setattr(stage, name, _FrozenBlock(cast(InvertedResidual, block), fused))
    return half


class FrozenPyramid:
    """EfficientNet-Lite0's maps at strides 4, 8, 16 and 32 of pictures in [-1, 1].

    No `nn.Module`: its weights are known by their checksum, belong to no checkpoint and to no optimizer, and nothing
    that freezes or thaws a discriminator may reach them.
    """

    def __init__(self) -> None:
        """Raises `UsageError` where the weights are missing."""
        self.full = load_network(LITE0)[0].to(memory_format=torch.channels_last)
        self._half: dict[torch.Size, EfficientNetLite] = {}
        self._fused: dict[torch.Size, EfficientNetLite | None] = {}

    def __call__(self, images: Images) -> list[Tensor]:
        """Four maps of (B, 3, H, W), H and W multiples of 32; in bf16 where the processor computes in it."""
        if not is_bf16_on_cpu(images):
            if self.full.classifier.weight.device != images.device:
                self.full.to(images.device)
            return self.full.pyramid(images)
        with torch.autocast("cpu", enabled=False):
            half = images.to(torch.bfloat16)
            faster = self._without_gradients(half.shape)
            if torch.is_grad_enabled() and images.requires_grad:
                return self._with_gradients(half.shape, faster).pyramid(half)
            with torch.no_grad():
                return (faster or self._with_gradients(half.shape, None)).pyramid(half)

    def _with_gradients(self, shape: torch.Size, faster: EfficientNetLite | None) -> EfficientNetLite:
        """The network in bf16 for pictures that gradients go back to."""
        if shape not in self._half:
            self._half[shape] = _frozen_in_bf16(self.full, faster)
        return self._half[shape]

    def _without_gradients(self, shape: torch.Size) -> EfficientNetLite | None:
        """The network in bf16 for pictures that no gradient goes back to, in half the time; None where it can't be had."""
        if shape not in self._fused:
            images = _probe(shape)
            half, right = images.to(torch.bfloat16), self.full.pyramid(images)
            network = copy.deepcopy(self.full).to(torch.bfloat16)
            self._fused[shape] = fused_copy(network, half, lambda other: _close(other.pyramid(half), right))
        return self._fused[shape]


def _probe(shape: torch.Size) -> Images:
    """Pictures to try a network on: always the same of a shape, since what is found decides the bits of a training, which may be resumed.

    Areas with fine noise: of pictures that are nearly grey, as the first fakes are, more is rounded away.
    """
    generator = torch.Generator().manual_seed(0)
    areas, noise = torch.rand(shape[0], 3, 8, 8, generator=generator), torch.rand(shape, generator=generator)
    images = 0.8 * F.interpolate(areas, size=shape[2:], mode="bilinear") + 0.2 * noise
    return (2 * images - 1).contiguous(memory_format=torch.channels_last)


def _close(maps: list[Tensor], right: list[Tensor]) -> bool:
    """Whether maps in bf16 are what they are in float32 but for rounding, which adds up to some per cent in the last."""
    return all(bool((a.float() - b).norm() <= _ROUNDING * b.norm()) for a, b in zip(maps, right, strict=True))


def resized(images: Images, side: int) -> Tensor:
    """Pictures (B, 3, R, R) as the pyramid is to see them: (B, 3, side, side)."""
    size = images.shape[2]
    if size == side:
        return images
    if size > side:
        return F.interpolate(images, size=(side, side), mode="area")
    # Two matrix products: several times faster than `F.interpolate`, whose gradient goes pixel by pixel.
    with torch.autocast(images.device.type, enabled=False):
        weights = _between(size, side).to(images)
        return weights @ images.contiguous() @ weights.T


@functools.lru_cache(maxsize=16)
def _between(size: int, side: int) -> Tensor:
    """(side, size) float32: the weights of bilinear interpolation."""
    return F.interpolate(torch.eye(size)[None, None], size=(side, size), mode="bilinear")[0, 0]
