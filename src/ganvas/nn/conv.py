"""Convolutions of stride 2 that are fast on a processor, and the weights that GANs start from.

In bf16 on a processor with AMX, oneDNN's convolutions of small maps (up to 8x8 at the narrow side) reach a tenth of
the machine's rate, above all in the gradient of the weights. There the same sums run as one matrix product on patches
laid side by side (`benchmarks/README.md` has the figures). Everywhere else, and wherever gradients of gradients are
needed, these layers are PyTorch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ganvas.nn.kernels.calls import kernels, ready_for
from ganvas.nn.reduced import Reduced, is_bf16_on_cpu
from ganvas.nn.spectral import raw_weight, spectral_norm, warm_up

_PATCH_AREA = 64
"""Patches are used where the narrow side of a layer has at most so many pixels."""
_WIDE = 256
"""At an area of 64, folding patches back pays from so many feature maps on the wide side."""


def _use_patches(x: Tensor, layer: nn.Conv2d | nn.ConvTranspose2d, narrow_area: int) -> bool:
    return (
        is_bf16_on_cpu(x)
        and layer.kernel_size == (4, 4)
        and layer.stride == (2, 2)
        and layer.padding == (1, 1)
        and narrow_area <= _PATCH_AREA
        and x.shape[2] % 2 + x.shape[3] % 2 == 0
    )


def unfold(x: Tensor) -> Tensor:
    """4x4 patches of stride 2 and padding 1, (B, C, H, W) to (B * H/2 * W/2, 16 C), ordered row, column, channel."""
    found = ready_for(x)
    if found is not None:
        return found.unfold(x)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    b, height, width, c = padded.shape
    rows, columns = (height - 2) // 2, (width - 2) // 2
    s = padded.stride()
    # Four neighbours in a row of a channels_last picture are one run of 4 C numbers.
    patches = padded.as_strided((b, rows, columns, 4, 4 * c), (s[0], 2 * s[1], 2 * s[2], s[1], 1))
    return patches.reshape(b * rows * columns, 16 * c)


def fold(patches: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """The sum of overlapping patches: the transpose of `unfold`, to (B, C, H, W) in channels_last memory."""
    b, c, height, width = shape
    found = kernels() if patches.dtype == torch.bfloat16 and patches.device.type == "cpu" and patches.is_contiguous() else None
    if found is not None:
        return found.fold(patches, shape)
    h, w = height // 2, width // 2
    d = patches.view(b, h, w, 4, 4, c)
    # A row of the result gets two rows of patches: an even row 2m the second row of patch m and the last of m - 1.
    r = patches.new_empty(b, h, 2, w, 4, c)
    torch.add(d[:, 1:, :, 1], d[:, :-1, :, 3], out=r[:, 1:, 0])
    r[:, 0, 0] = d[:, 0, :, 1]
    torch.add(d[:, :-1, :, 2], d[:, 1:, :, 0], out=r[:, :-1, 1])
    r[:, -1, 1] = d[:, -1, :, 2]
    r = r.view(b, height, w, 4, c)
    folded = _empty(patches, b, c, height, width)
    out = folded.permute(0, 2, 3, 1).view(b, height, w, 2, c)
    torch.add(r[:, :, 1:, 1], r[:, :, :-1, 3], out=out[:, :, 1:, 0])
    out[:, :, 0, 0] = r[:, :, 0, 1]
    torch.add(r[:, :, :-1, 2], r[:, :, 1:, 0], out=out[:, :, :-1, 1])
    out[:, :, -1, 1] = r[:, :, -1, 2]
    return folded


def _empty(like: Tensor, b: int, c: int, height: int, width: int) -> Tensor:
    return torch.empty((b, c, height, width), dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _product(a: Tensor, b: Tensor, batch: int, height: int, width: int) -> Tensor:
    """a @ b as a picture (batch, C, height, width): a tensor of its own, since autograd forbids changing views in place."""
    out = _empty(a, batch, b.shape[1], height, width)
    torch.mm(a, b, out=_flat(out))
    return out


def _flat(x: Tensor) -> Tensor:
    """(B, C, H, W) in channels_last memory to (B * H * W, C) without a copy."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _picture(rows: Tensor, b: int, height: int, width: int) -> Tensor:
    return rows.view(b, height, width, -1).permute(0, 3, 1, 2)


def _matrix(weight: Tensor) -> Tensor:
    """(A, B, 4, 4) to (A, 16 B), a view where the weight is in channels_last memory."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _weight_gradient(matrix: Tensor, like: Tensor) -> Tensor:
    a, b, height, width = like.shape
    return matrix.view(a, height, width, b).permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """A 4x4 convolution of stride 2 and padding 1 as a product of patches, in the dtype of its inputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        b, _, height, width = x.shape
        patches = unfold(x)
        ctx.save_for_backward(patches if ctx.needs_input_grad[1] else None, weight)
        ctx.shape = x.shape
        return _product(patches, _matrix(weight).t(), b, height // 2, width // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        patches, weight = ctx.saved_tensors
        rows, c = _flat(gradient), ctx.shape[1]
        dx = dw = None
        if ctx.needs_input_grad[0]:
            if gradient.shape[2] * gradient.shape[3] < _PATCH_AREA or c >= _WIDE:
                dx = fold(rows @ _matrix(weight), tuple(ctx.shape))
            else:
                dx = F.conv_transpose2d(gradient, weight, stride=2, padding=1)
        if ctx.needs_input_grad[1]:
            dw = _weight_gradient(across(rows, patches), weight)
        return dx, dw


class _TransposedConvolution(torch.autograd.Function):
    """A 4x4 transposed convolution of stride 2 and padding 1 as a product whose patches are folded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        b, _, height, width = x.shape
        ctx.save_for_backward(x, weight)
        if height * width < _PATCH_AREA or weight.shape[1] >= _WIDE:
            return fold(_flat(x) @ _matrix(weight), (b, weight.shape[1], 2 * height, 2 * width))
        return F.conv_transpose2d(x, weight, stride=2, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        x, weight = ctx.saved_tensors
        patches = unfold(gradient)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = _product(patches, _matrix(weight).t(), x.shape[0], x.shape[2], x.shape[3])
        if ctx.needs_input_grad[1]:
            dw = _weight_gradient(across(_flat(x), patches), weight)
        return dx, dw


def across(rows: Tensor, patches: Tensor) -> Tensor:
    """rows^T @ patches, (N, A) and (N, B) to (A, B): the gradient of a weight.

    oneDNN takes up to 1.6 times as long where the first matrix is not laid out as it is read.
    """
    found = kernels() if rows.dtype == torch.bfloat16 and rows.device.type == "cpu" and rows.is_contiguous() else None
    return (rows.t() if found is None else found.transpose(rows)) @ patches


def _bf16(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16)


def convolve_down(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 4x4 convolution of stride 2 and padding 1, (B, C, H, W) by (C', C, 4, 4) to (B, C', H/2, W/2); H and W even."""
    if not is_bf16_on_cpu(x) or x.shape[2] * x.shape[3] // 4 > _PATCH_AREA:
        return F.conv2d(x, weight, bias, stride=2, padding=1)
    x, weight = _bf16(x).contiguous(memory_format=torch.channels_last), _bf16(weight)
    with torch.autocast("cpu", enabled=False):
        y = _Convolution.apply(x, weight)
        return y if bias is None else y + _bf16(bias)[:, None, None]


def convolve_up(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A transposed 4x4 convolution of stride 2 and padding 1, (B, C, H, W) by (C, C', 4, 4) to (B, C', 2H, 2W)."""
    if not is_bf16_on_cpu(x) or x.shape[2] * x.shape[3] > _PATCH_AREA:
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    x, weight = _bf16(x).contiguous(memory_format=torch.channels_last), _bf16(weight)
    with torch.autocast("cpu", enabled=False):
        y = _TransposedConvolution.apply(x, weight)
        return y if bias is None else y + _bf16(bias)[:, None, None]


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, with small maps as matrix products where that is faster."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._reduced = Reduced()

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        if not _use_patches(input, self, input.shape[2] * input.shape[3] // 4):
            return self._conv_forward(input, self._reduced(self.weight), self.bias)
        return convolve_down(input, self._reduced(self.weight), self.bias)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, with small maps as matrix products where that is faster."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._reduced = Reduced()

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        if output_size is not None:
            return super().forward(input, output_size)
        weight = self._reduced(self.weight)
        if _use_patches(input, self, input.shape[2] * input.shape[3]):
            return convolve_up(input, weight, self.bias)
        sizes = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(input, weight, self.bias, *sizes)  # type: ignore[arg-type]


class FromLatent(ConvTranspose2d):
    """The first layer of a generator: a transposed convolution of one pixel, which is a matrix product."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, 1, 1) to (B, C', k, k), in channels_last memory."""
        if output_size is not None or self.bias is not None:
            return super().forward(input, output_size)
        height, width = self.kernel_size[0], self.kernel_size[1]
        return _picture(input.flatten(1) @ _matrix(self._reduced(self.weight)), input.shape[0], height, width)


class ToLogit(Conv2d):
    """The last layer of a discriminator: a convolution as large as its input, which is a matrix product."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, k, k) to (B, C', 1, 1)."""
        if input.shape[2:] != self.weight.shape[2:] or input.dtype == torch.float64:
            return super().forward(input)
        rows = input.permute(0, 2, 3, 1).flatten(1)
        return F.linear(rows, _matrix(self._reduced(self.weight)), self.bias)[:, :, None, None]


def down(entering: int, leaving: int, kernel: int, bias: bool) -> Conv2d:
    """A convolution that halves an even size, with a kernel of 3, 4 or 5."""
    return Conv2d(entering, leaving, kernel, 2, (kernel - 1) // 2, bias=bias)


def up(entering: int, leaving: int, kernel: int, bias: bool) -> ConvTranspose2d:
    """A transposed convolution that doubles the size, with a kernel of 3, 4 or 5."""
    return ConvTranspose2d(entering, leaving, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=bias)


def dcgan_init(module: nn.Module) -> None:
    """Weights of convolutions and linear layers from N(0, 0.02), of batch norms from N(1, 0.02); biases zero.

    Radford et al. 2016, section 4, and the authors' code for the batch norms.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(raw_weight(layer), 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
    warm_up(module)


def spectral(layer: nn.Module, on: bool) -> nn.Module:
    """The layer, its weight divided by its largest singular value if `on` (Miyato et al. 2018, algorithm 1)."""
    return spectral_norm(layer) if on else layer
