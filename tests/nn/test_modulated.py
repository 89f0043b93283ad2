"""Modulated convolutions: the paper's weights, unit variance, and the parts that they are made of."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.nn.linear import EqualizedLinear
from ganvas.nn.modulated import EqualizedConv, ModulatedConv
from ganvas.nn.resample import blur, smooth_double, smooth_pool

UP: dict[str, Any] = {"resampling": "up"}


def by_groups(layer: ModulatedConv, x: Tensor, style: Tensor, bias: Tensor) -> Tensor:
    """The same as the paper writes it: a kernel for each picture (Karras et al. 2020, eq. 1 and 3)."""
    factors = layer.style(style)
    weight = layer.weight[None] * layer.scale * factors[:, None, :, None, None]
    if layer.demodulate:
        weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    if layer.resampling == "up":
        x = smooth_double(x)
    b, c, height, width = x.shape
    kernels = weight.flatten(0, 1) * layer.gain
    y = F.conv2d(x.reshape(1, b * c, height, width), kernels, padding=kernels.shape[2] // 2, groups=b)
    return y.view(b, -1, height, width) + bias[:, None, None]


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("options", [{}, {"demodulate": False}, {"gain": 1.4}, UP])
@pytest.mark.parametrize("kernel", [1, 3])
def test_scaling_maps_is_scaling_weights(size: int, options: dict[str, Any], kernel: int) -> None:
    if options == UP and kernel == 1:
        return
    torch.manual_seed(0)
    layer = ModulatedConv(5, 7, kernel, 6, **options)
    x, style, bias = torch.randn(3, 5, size, size), torch.randn(3, 6), torch.randn(7)
    expected, got = by_groups(layer, x, style, bias), layer(x, style, bias)
    # The filter and the kernel commute but for the outermost rows, where one of them meets zeros first.
    edge = slice(2, -2) if options == UP else slice(None)
    torch.testing.assert_close(got[..., edge, edge], expected[..., edge, edge], rtol=1e-5, atol=1e-5)


def test_demodulated_maps_have_unit_variance() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(32, 64, 3, 8)
    style = 3 * torch.randn(64, 8)
    y = layer(torch.randn(64, 32, 16, 16), style, torch.zeros(64))[..., 1:-1, 1:-1]
    assert float(y.detach().var()) == pytest.approx(1, rel=0.02)
    # Each picture and map by itself too, however its style scales what enters.
    assert y.detach().var((2, 3)).mean(1).sub(1).abs().max() < 0.1
    plain = ModulatedConv(32, 64, 3, 8, demodulate=False)
    assert float(plain(torch.randn(64, 32, 16, 16), style, torch.zeros(64)).detach().var()) > 4


def test_gradients_are_the_numbers() -> None:
    torch.manual_seed(0)
    layer = EqualizedConv(2, 3, 3, resampling="down").double()
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(blur, x)


def test_smoothing_makes_the_filter_1331() -> None:
    taps = torch.tensor((1.0, 3.0, 3.0, 1.0))
    x = torch.randn(2, 3, 8, 8)
    kernel = (taps[:, None] * taps).expand(3, 1, 4, 4)
    down = F.conv2d(x, kernel / 64, stride=2, padding=1, groups=3)
    up = F.conv_transpose2d(x, kernel / 16, stride=2, padding=1, groups=3)
    torch.testing.assert_close(smooth_pool(x), down)
    torch.testing.assert_close(smooth_double(x), up)


def test_equalised_layers_keep_unit_variance_and_learn_at_their_rate() -> None:
    torch.manual_seed(0)
    x = torch.randn(4096, 64)
    for rate in (1.0, 0.01):
        layer = EqualizedLinear(64, 32, rate=rate, gain=math.sqrt(2), start=0.5)
        y = layer(x)
        assert float(y.detach().var()) == pytest.approx(2, rel=0.1)
        torch.testing.assert_close(layer.bias.detach() * rate, torch.full((32,), 0.5))
        before = y.detach()
        with torch.no_grad():
            # Adam's first step moves every parameter by the learning rate, whatever the gradient's size.
            layer.weight += 1e-3
        moved = (layer(x) - before).detach().abs().mean()
        assert float(moved) == pytest.approx(float((x.sum(1) * 1e-3 * rate * math.sqrt(2) / 8).abs().mean()), rel=0.02)
    conv = EqualizedConv(16, 8, 3)
    assert float(conv(torch.randn(64, 16, 12, 12))[..., 1:-1, 1:-1].detach().var()) == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("options", [{}, UP])
def test_bf16_is_near_fp32(size: int, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(32, 32, 3, 8, **options)
    x = torch.randn(4, 32, size, size).contiguous(memory_format=torch.channels_last)
    style, bias = torch.randn(4, 8), torch.zeros(32)
    full = layer(x, style, bias)
    expected = torch.autograd.grad(full.square().sum(), list(layer.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x, style, bias)
        got = torch.autograd.grad(half.float().square().sum(), list(layer.parameters()))
    assert half.dtype == torch.bfloat16
    assert float((half.detach().float() - full.detach()).norm() / full.detach().norm()) < 0.02
    for a, b in zip(got, expected, strict=True):
        assert float((a - b).norm() / b.norm()) < 0.05
