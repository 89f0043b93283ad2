"""Layers that sample and do not learn: norm, bias and activation are part of the convolution, weights are laid out once.

Each takes what its model's layer takes, in any dtype, and computes in its own. In float16 a processor with AMX-FP16
multiplies eight times as fast as in float32, sums in float32 and rounds once for each layer, to 11 bits; bf16 has 8.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn import conv as convolutions
from ganvas.nn.norm import ConditionalBatchNorm2d

_TINY_AREA = 16
"""Up to so many pixels, a transposed convolution is fastest as a matrix product whose patches are folded."""
_SMALL_AREA = 64
"""Up to so many pixels, it is faster as a convolution by 2x2."""
_FEW = 16
"""So few maps leave the matrix unit idle unless all four phases of a transposed convolution are computed side by side."""


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The scale and the shift (C,) that a batch norm is in eval mode, in float64."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics is no affine map")
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.detach().double() if norm.affine else shift


def with_norm(
    weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm1d | nn.BatchNorm2d | None, transposed: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer and the batch norm behind it as one layer, exact but for rounding.

    `transposed`: the second dimension of the weight is the outputs'.
    """
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    if norm is None:
        return weight, bias
    scale, shift = affine(norm)
    along = [1] * weight.ndim
    along[int(transposed)] = -1
    bias = shift if bias is None else shift + bias.double() * scale
    return (weight.double() * scale.view(along)).to(weight.dtype), bias.to(weight.dtype)


def activated(x: Tensor, slope: float | None) -> Tensor:
    """ReLU (slope 0), leaky ReLU or nothing (None), in place."""
    return x if slope is None else F.leaky_relu_(x, slope) if slope else F.relu_(x)


class _Fused(nn.Module):
    """What the layers share: a weight and a bias in the dtype that they compute in, and an activation."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float | None, dtype: torch.dtype):
        super().__init__()
        self.slope, self.dtype = slope, dtype
        self.register_buffer("weight", weight.to(dtype), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.to(dtype), persistent=False)
        self._packed: dict[torch.Size, Tensor] = {}

    @property
    def _post(self) -> tuple[str, list[float], str]:
        """The activation, as oneDNN's operators take it."""
        return ("none", [], "") if self.slope is None else ("leaky_relu", [self.slope], "") if self.slope else ("relu", [], "")


class FusedLinear(_Fused):
    """A linear layer, norm and activation; a first layer makes maps (B, C, k, k) in channels_last memory of its rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float | None, dtype: torch.dtype, side: int | None = None):
        """`weight`: (outputs, inputs); for maps of a side the outputs are ordered row, column, channel."""
        super().__init__(weight, bias, slope, dtype)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ...) to (B, outputs), or (B, outputs / side^2, side, side)."""
        rows = activated(F.linear(x.flatten(1).to(self.dtype), self.weight, self.bias), self.slope)
        return rows if self.side is None else rows.view(len(rows), self.side, self.side, -1).permute(0, 3, 1, 2)


class FusedConv(_Fused):
    """A convolution, norm, activation and a sum with other maps."""

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float | None, dtype: torch.dtype, *, stride: int = 1, padding: int = 0):
        super().__init__(weight.contiguous(memory_format=torch.channels_last), bias, slope, dtype)
        self.stride, self.padding = [stride] * 2, [padding] * 2

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'), to which `beside` is added."""
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        operators: Any = torch.ops.mkldnn
        if x.shape not in self._packed:
            self._packed[x.shape] = operators._reorder_convolution_weight(self.weight, self.padding, self.stride, [1, 1], 1, list(x.shape))
        where = (self._packed[x.shape], self.bias, self.padding, self.stride, [1, 1], 1)
        if beside is None:
            return operators._convolution_pointwise(x, *where, *self._post)
        return operators._convolution_pointwise.binary(x, beside, *where, "add", None, None, [], None)


class FusedUp(_Fused):
    """A transposed convolution of stride 2, norm and activation.

    With a kernel of 4x4 and padding 1, each of the four phases of the output is made of 2x2 pixels. Where oneDNN's
    transposed convolution is slow, of small maps and of few, all four are computed side by side by one convolution. The
    smallest maps are one matrix product, whose overlapping patches are summed.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, slope: float | None, dtype: torch.dtype, *, padding: int = 1, output_padding: int = 0
    ):
        """`weight`: (C, C', k, k)."""
        super().__init__(weight, bias, slope, dtype)
        self.padding, self.output_padding = [padding] * 2, [output_padding] * 2
        self._in_phases = tuple(weight.shape[2:]) == (4, 4) and padding == 1 and output_padding == 0
        self._matrix: Tensor | None = None
        self._convolution: FusedConv | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        area = x.shape[2] * x.shape[3]
        if self._in_phases and (area <= _SMALL_AREA or self.weight.shape[1] <= _FEW):
            return self._product(x) if area <= _TINY_AREA else self._phases(x)
        operators: Any = torch.ops.mkldnn
        if x.shape not in self._packed:
            self._packed[x.shape] = operators._reorder_convolution_transpose_weight(
                self.weight, self.padding, self.output_padding, [2, 2], [1, 1], 1, list(x.shape)
            )
        where = (self.padding, self.output_padding, [2, 2], [1, 1], 1)
        return operators._convolution_transpose_pointwise(x, self._packed[x.shape], self.bias, *where, *self._post)

    def _product(self, x: Tensor) -> Tensor:
        operators: Any = torch.ops.mkldnn
        b, c, height, width = x.shape
        if self._matrix is None:
            self._matrix = operators._reorder_linear_weight(self.weight.permute(2, 3, 1, 0).reshape(-1, c).contiguous())
        rows = operators._linear_pointwise(x.permute(0, 2, 3, 1).reshape(-1, c), self._matrix, None, "none", [], "")
        out = convolutions.fold(rows, (b, self.weight.shape[1], 2 * height, 2 * width))
        return activated(out if self.bias is None else out.add_(self.bias[:, None, None]), self.slope)

    def _phases(self, x: Tensor) -> Tensor:
        if self._convolution is None:
            kernel = phases(self.weight).t().reshape(-1, 2, 2, x.shape[1]).permute(0, 3, 1, 2)
            bias = None if self.bias is None else self.bias.repeat(4)
            self._convolution = FusedConv(kernel, bias, self.slope, self.dtype, padding=1)
        return _joined(self._convolution(x).permute(0, 2, 3, 1))


def _joined(windows: Tensor) -> Tensor:
    """(B, H + 1, W + 1, 4 C), the phases of all windows of 2x2 pixels, to the picture (B, C, 2H, 2W)."""
    b, height, width = windows.shape[0], windows.shape[1] - 1, windows.shape[2] - 1
    windows = windows.reshape(b, height + 1, width + 1, 2, 2, -1)
    out = windows.new_empty(b, height, 2, width, 2, windows.shape[-1])
    for row in (0, 1):
        for column in (0, 1):
            out[:, :, row, :, column] = windows[:, row : height + row, column : width + column, row, column]
    return out.view(b, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def phases(weight: Tensor) -> Tensor:
    """A transposed 4x4 kernel (C, C', 4, 4) of stride 2 as a matrix (4 C, 4 C').

    Rows are 2x2 neighbours by channel, columns the 2x2 phases of the output by channel. A pixel 2m + a of the output
    sums, along each axis, the inputs m + a - 1 and m + a by the kernel's entries 3 - a and 1 - a.
    """
    entry = torch.tensor([[3, 2], [1, 0]], device=weight.device)
    c, leaving = weight.shape[:2]
    spread = weight[:, :, entry][..., entry]
    return spread.permute(2, 4, 0, 3, 5, 1).reshape(4 * c, 4 * leaving)


class FusedNorm(nn.Module):
    """A batch norm, with or without a condition, and an activation, where no convolution comes before."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d, slope: float | None, dtype: torch.dtype):
        super().__init__()
        self.slope, self.dtype = slope, dtype
        self.to_affine = norm.to_affine if isinstance(norm, ConditionalBatchNorm2d) else None
        scale, shift = affine(norm)
        self.register_buffer("scale", scale.float(), persistent=False)
        self.register_buffer("shift", shift.float(), persistent=False)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to the same shape."""
        scale, shift = self.scale[None], self.shift[None]
        if self.to_affine is not None:
            # The condition's gain and offset are computed in full precision: all of a map depends on them.
            gain, offset = self.to_affine(condition).chunk(2, 1)
            scale, shift = scale * (1 + gain), torch.addcmul(offset, shift, 1 + gain)
        scale, shift = (t.to(self.dtype)[:, :, None, None] for t in (scale, shift))
        return activated(torch.addcmul(shift, x.to(self.dtype), scale), self.slope)


class InFloat32(nn.Module):
    """What follows gets float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x.float()
