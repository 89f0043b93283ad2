"""Tensors for the library, and whether it may be used at all."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.nn.kernels.library import Unavailable, load

_CHUNK = 65536
"""About so many numbers share a sum in single precision."""
_CLOSE = 1e-2
"""Of the norm: results in bf16 differ from those in fp32 by some 0.002."""
_CLOSE_SUMS = 1e-4
"""Sums and statistics are fp32."""
MOST_PLACES = 4096
"""That `attention` can choose among."""
DEPTHWISE = ((3, 1, "depthwise gradient"), (5, 2, "depthwise gradient of stride 2"))


@dataclass(frozen=True)
class Normed:
    """A batch norm's output and what its gradient needs."""

    y: Tensor
    mean: Tensor
    """(C,)"""
    inverse: Tensor
    """(C,) one over the deviation."""
    scale: Tensor
    """(C,) or (B, C): gain over deviation."""


@dataclass(frozen=True)
class Running:
    """A batch norm's running statistics (C,), which a forward pass moves by `momentum`."""

    mean: Tensor
    variance: Tensor
    momentum: float


class Kernels:
    """The library's functions. All pictures (B, C, H, W) are bf16 in channels_last memory; a slope of 0 is ReLU, of 1 nothing."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library

    def norm(self, x: Tensor, gain: Tensor, offset: Tensor, running: Running | None, eps: float, slope: float) -> Normed:
        """Batch norm in training mode, then leaky ReLU; `gain` and `offset` are (C,), or (B, C) for each picture its own."""
        rows, maps, height, stride, chunks = _shape(x, gain)
        mean, inverse, scale, y = torch.empty(maps), torch.empty(maps), torch.empty_like(gain), torch.empty_like(x)
        space = torch.empty(2 * maps * (chunks + 1))
        kept = (running.mean.data_ptr(), running.variance.data_ptr()) if running else (None, None)
        pointers = (t.data_ptr() for t in (x, gain, offset, y, mean, inverse, scale))
        self._library.ganvas_norm_forward(
            *pointers, *kept, space.data_ptr(), rows, maps, height, stride,
            eps, running.momentum if running else 0.0, slope, torch.get_num_threads(),
        )  # fmt: skip
        return Normed(y, mean, inverse, scale)

    def norm_backward(self, x: Tensor, dy: Tensor, normed: Normed, offset: Tensor, slope: float) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of x, gain and offset; `normed.y` is not looked at."""
        rows, maps, height, stride, chunks = _shape(x, normed.scale)
        dx, dgain, doffset = torch.empty_like(x), torch.empty_like(offset), torch.empty_like(offset)
        space = torch.empty(2 * maps * (chunks + 1))
        tensors = (x, dy, normed.mean, normed.inverse, normed.scale, offset, dx, dgain, doffset, space)
        pointers = (t.data_ptr() for t in tensors)
        self._library.ganvas_norm_backward(*pointers, rows, maps, height, stride, slope, torch.get_num_threads())
        return dx, dgain, doffset

    def activate(self, x: Tensor, slope: float, inplace: bool = False) -> Tensor:
        """Leaky ReLU of a dense tensor in any memory format."""
        y = x if inplace else torch.empty_like(x)
        self._library.ganvas_activate(x.data_ptr(), y.data_ptr(), x.numel(), slope, torch.get_num_threads())
        return y

    def activate_backward(self, y: Tensor, dy: Tensor, slope: float) -> Tensor:
        """The gradient of the input, from the output; both tensors lie in memory alike."""
        dx = torch.empty_like(y)
        self._library.ganvas_activate_backward(
            y.data_ptr(), dy.data_ptr(), dx.data_ptr(), y.numel(), slope, torch.get_num_threads()
        )  # fmt: skip
        return dx

    def clamp(self, x: Tensor, top: float) -> Tensor:
        """min(max(x, 0), top) of a dense tensor in any memory format."""
        y = torch.empty_like(x)
        self._library.ganvas_clamp(x.data_ptr(), y.data_ptr(), x.numel(), top, torch.get_num_threads())
        return y

    def clamp_backward(self, y: Tensor, dy: Tensor, top: float) -> Tensor:
        """The gradient of the input, from the output; both tensors lie in memory alike."""
        dx = torch.empty_like(y)
        self._library.ganvas_clamp_backward(y.data_ptr(), dy.data_ptr(), dx.data_ptr(), y.numel(), top, torch.get_num_threads())
        return dx

    def gate(self, x: Tensor) -> Tensor:
        """(B, 2C, H, W) to (B, C, H, W): the first half of the maps times the logistic function of the second."""
        b, maps, height, width = x.shape
        shape = (b, maps // 2, height, width)
        y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        self._library.ganvas_gate(x.data_ptr(), y.data_ptr(), b * height * width, maps // 2, torch.get_num_threads())
        return y

    def gate_backward(self, x: Tensor, dy: Tensor) -> Tensor:
        """The gradient of `gate`'s input."""
        b, maps, height, width = x.shape
        dx = torch.empty_like(x)
        pointers = (t.data_ptr() for t in (x, dy, dx))
        self._library.ganvas_gate_backward(*pointers, b * height * width, maps // 2, torch.get_num_threads())
        return dx

    def gates_halves(self, maps: int) -> bool:
        """Whether there is `noisy_gate` for so many maps: with AVX-512, for multiples of 32."""
        return hasattr(self._library, "ganvas_noisy_gate") and maps % 32 == 0

    def noisy_gate(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """`gate` of x (B, 2C, H, W) in fp16 plus a noise (1, 2C, H, W) in fp16 that all pictures share, rounded once."""
        b, maps, height, width = x.shape
        y = torch.empty((b, maps // 2, height, width), dtype=x.dtype, memory_format=torch.channels_last)
        pointers = (x.data_ptr(), None if noise is None else noise.data_ptr(), y.data_ptr())
        self._library.ganvas_noisy_gate(*pointers, b * height * width, maps // 2, height * width, torch.get_num_threads())
        return y

    def depthwise_backward(self, dy: Tensor, weight: Tensor, entered: Tensor, stride: int, before: tuple[int, int], top: float) -> Tensor:
        """The gradient of what a clamp to [0, `top`] made `entered` of, from that of a depthwise convolution of `entered`.

        Args:
            dy: (B, C, H', W').
            weight: (k, k, C), fp32, k at most 7.
            entered: (B, C, H, W).
            stride: of the convolution.
            before: rows and columns of padding above and left of the picture.
            top: of the clamp.
        """
        b, maps, height, width = entered.shape
        dx = torch.empty_like(entered)
        sizes = (ctypes.c_int64 * 10)(b, height, width, *dy.shape[2:], maps, len(weight), stride, *before)
        pointers = (t.data_ptr() for t in (dy, weight, entered, dx))
        self._library.ganvas_depthwise_backward(*pointers, sizes, top, torch.get_num_threads())
        return dx

    def unfold(self, x: Tensor) -> Tensor:
        """See `nn.conv.unfold`."""
        b, c, height, width = x.shape
        patches = x.new_empty(b * height * width // 4, 16 * c)
        self._library.ganvas_unfold(x.data_ptr(), patches.data_ptr(), b, height, width, c, torch.get_num_threads())
        return patches

    def fold(self, patches: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
        """See `nn.conv.fold`; rounded once."""
        b, c, height, width = shape
        x = torch.empty(shape, dtype=patches.dtype, memory_format=torch.channels_last)
        self._library.ganvas_fold(patches.data_ptr(), x.data_ptr(), b, height, width, c, torch.get_num_threads())
        return x

    def transpose(self, matrix: Tensor) -> Tensor:
        """(A, B) to (B, A), both dense."""
        turned = matrix.new_empty(matrix.shape[1], matrix.shape[0])
        self._library.ganvas_transpose(matrix.data_ptr(), turned.data_ptr(), *matrix.shape, torch.get_num_threads())
        return turned

    def attention(self, query: Tensor, key: Tensor) -> Tensor:
        """softmax(Q K^T), (B, M, d) and (B, N, d) to (B, M, N), of dense tensors; N a multiple of 16, `MOST_PLACES` at most."""
        b, rows, size = query.shape
        places = key.shape[1]
        weights, turned = query.new_empty(b, rows, places), key.transpose(1, 2).float().contiguous()
        pointers = (t.data_ptr() for t in (query, turned, weights))
        self._library.ganvas_attention(*pointers, b, rows, places, size, torch.get_num_threads())
        return weights

    def attention_backward(self, weights: Tensor, gradient: Tensor) -> Tensor:
        """The gradient of what softmax took, from that of `weights` (B, M, N), in whose memory it is written."""
        b, rows, places = weights.shape
        self._library.ganvas_attention_backward(weights.data_ptr(), gradient.data_ptr(), b * rows, places, torch.get_num_threads())
        return gradient


def _shape(x: Tensor, gain: Tensor) -> tuple[int, int, int, int, int]:
    """Rows, maps, rows of a chunk, how far a chunk's gains are from the last one's, chunks."""
    b, maps, height, width = x.shape
    rows = b * height * width
    tall = height * width if gain.ndim == 2 else max(1, _CHUNK // maps)
    return rows, maps, tall, maps if gain.ndim == 2 else 0, -(-rows // tall)


def kernels() -> Kernels | None:
    """The library, or None where PyTorch's operators are to be used."""
    return _found(os.environ.get("GANVAS_KERNELS"))[0]


def state() -> str:
    """`ready`, or why the kernels are not used."""
    return _found(os.environ.get("GANVAS_KERNELS"))[1]


@functools.cache
def _found(asked: str | None) -> tuple[Kernels | None, str]:
    if asked == "0":
        return None, "turned off by GANVAS_KERNELS=0"
    try:
        found = Kernels(load())
    except Unavailable as reason:
        return None, str(reason)
    wrong = differing(found)
    return (None, f"they give other numbers than PyTorch here ({', '.join(wrong)})") if wrong else (found, "ready")


def ready_for(x: Tensor) -> Kernels | None:
    """The library where it can take pictures (B, C, H, W): plain bf16 tensors on the processor in channels_last memory."""
    plain = type(x) is Tensor and x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.ndim == 4 and x.numel() > 0
    if not plain or not x.is_contiguous(memory_format=torch.channels_last) or torch.compiler.is_compiling():
        return None
    return kernels()


@torch.no_grad()
def differing(tried: Kernels) -> list[str]:
    """The names of those kernels whose results on small odd sizes are not PyTorch's."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    def picture(*shape: int) -> Tensor:
        return normal(*shape).bfloat16().contiguous(memory_format=torch.channels_last)

    with torch.autocast("cpu", enabled=False), torch.inference_mode(False):
        wrong = []
        for gains in ((), (3,)):
            x, dy = picture(3, 19, 4, 6) * 2 + 1, picture(3, 19, 4, 6)
            if not _norm_agrees(tried, x, dy, 1 + normal(*gains, 19) / 4, normal(*gains, 19)):
                wrong.append("batch norm of pictures' own" if gains else "batch norm")
        x, dy = picture(3, 5, 7, 3), picture(3, 5, 7, 3)
        y = tried.activate(x, 0.2)
        same = torch.equal(y, F.leaky_relu(x, 0.2)) and torch.equal(tried.activate_backward(y, dy, 0.2), torch.where(x > 0, dy, dy * 0.2))
        wrong += [] if same else ["activation"]
        wrong += [] if _clamp_agrees(tried, 8 * x, dy) else ["clamping"]
        wrong += [] if _gate_agrees(tried, 4 * picture(3, 38, 4, 6), picture(3, 19, 4, 6)) else ["gate"]
        wrong += [] if _noisy_gate_agrees(tried, 4 * normal(3, 96, 4, 6), normal(1, 96, 4, 6)) else ["gate in fp16"]
        wrong += [name for k, stride, name in DEPTHWISE if not _depthwise_agrees(tried, 4 * picture(2, 83, 6, 8), k, stride, normal)]
        x, patches = picture(2, 3, 4, 6), normal(2 * 2 * 3, 16 * 3).bfloat16()
        folded = F.fold(patches.float().view(2, 6, 4, 4, 3).permute(0, 4, 2, 3, 1).reshape(2, 48, 6), (4, 6), 4, padding=1, stride=2)
        unfolded = F.unfold(x.float(), 4, padding=1, stride=2).view(2, 3, 4, 4, 6).permute(0, 4, 2, 3, 1).reshape(12, 48)
        same = torch.equal(tried.unfold(x).float(), unfolded) and _near(tried.fold(patches, (2, 3, 4, 6)), folded, _CLOSE)
        wrong += [] if same else ["patches"]
        wrong += [] if _attention_agrees(tried, 2 * normal(2, 70, 5), normal(2, 80, 5), normal(2, 70, 80)) else ["attention"]
        matrix = normal(37, 70).bfloat16()
        return wrong if torch.equal(tried.transpose(matrix), matrix.t()) else [*wrong, "transposition"]


def _norm_agrees(tried: Kernels, x: Tensor, dy: Tensor, gain: Tensor, offset: Tensor) -> bool:
    """Forward and backward against PyTorch's operators in fp32."""
    momentum, eps, slope = 0.3, 1e-5, 0.2
    running = (torch.zeros(x.shape[1]), torch.ones(x.shape[1]))
    others = (torch.zeros(x.shape[1]), torch.ones(x.shape[1]))
    normed = tried.norm(x, gain, offset, Running(*running, momentum), eps, slope)
    found = tried.norm_backward(x, dy, normed, offset, slope)
    with torch.enable_grad():
        leaves = [t.float().requires_grad_() for t in (x, gain, offset)]
        wide = [t if t.ndim == 2 else t.expand(len(x), -1) for t in leaves[1:]]
        plain = F.batch_norm(leaves[0], *others, None, None, True, momentum, eps)
        expected = F.leaky_relu(plain * wide[0][:, :, None, None] + wide[1][:, :, None, None], slope)
        gradients = torch.autograd.grad(expected, leaves, dy.float())
    sums = [*zip(running, others, strict=True), *zip(found[1:], gradients[1:], strict=True)]
    pictures = [(normed.y, expected), (found[0], gradients[0])]
    return all(_near(a, b, _CLOSE_SUMS) for a, b in sums) and all(_near(a, b, _CLOSE) for a, b in pictures)


def _clamp_agrees(tried: Kernels, x: Tensor, dy: Tensor) -> bool:
    y = tried.clamp(x, 6.0)
    return torch.equal(y, x.clamp(0, 6)) and torch.equal(tried.clamp_backward(y, dy, 6.0), torch.where((x > 0) & (x < 6), dy, 0))


def _noisy_gate_agrees(tried: Kernels, x: Tensor, noise: Tensor) -> bool:
    if not tried.gates_halves(x.shape[1]):
        return True
    x, noise = (t.half().contiguous(memory_format=torch.channels_last) for t in (x, noise))
    for added, given in ((x.float() + noise, noise), (x.float(), None)):
        values, gates = added.chunk(2, 1)
        if not _near(tried.noisy_gate(x, given), values * gates.sigmoid(), _CLOSE / 10):
            return False
    return True


def _depthwise_agrees(tried: Kernels, x: Tensor, k: int, stride: int, normal: Callable[..., Tensor]) -> bool:
    weight, before = normal(k, k, x.shape[1]), k // 2
    with torch.enable_grad():
        leaf = x.float().requires_grad_()
        clamped = leaf.clamp(0, 6)
        y = F.conv2d(clamped, weight.permute(2, 0, 1)[:, None], None, stride, before, groups=x.shape[1])
        dy = normal(*y.shape).bfloat16().contiguous(memory_format=torch.channels_last)
        (expected,) = torch.autograd.grad(y, leaf, dy.float())
    entered = clamped.detach().bfloat16()
    return _near(tried.depthwise_backward(dy, weight, entered, stride, (before, before), 6.0), expected, _CLOSE)


def _gate_agrees(tried: Kernels, x: Tensor, dy: Tensor) -> bool:
    with torch.enable_grad():
        leaf = x.float().requires_grad_()
        values, gates = leaf.chunk(2, 1)
        expected = values * gates.sigmoid()
        (gradient,) = torch.autograd.grad(expected, leaf, dy.float())
    return _near(tried.gate(x), expected, _CLOSE) and _near(tried.gate_backward(x, dy), gradient, _CLOSE)


def _attention_agrees(tried: Kernels, query: Tensor, key: Tensor, gradient: Tensor) -> bool:
    query, key, gradient = query.bfloat16(), key.bfloat16(), gradient.bfloat16()
    expected = (query.float() @ key.float().transpose(1, 2)).softmax(2)
    weights = tried.attention(query, key)
    wide = weights.float()
    unweighed = wide * (gradient.float() - (wide * gradient.float()).sum(2, keepdim=True))
    return _near(weights, expected, _CLOSE) and _near(tried.attention_backward(weights, gradient), unweighed, _CLOSE)


def _near(a: Tensor, b: Tensor, share: float) -> bool:
    return bool((a.float() - b.float()).norm() <= share * b.float().norm())
