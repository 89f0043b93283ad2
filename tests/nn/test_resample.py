"""Convolutions that change the resolution equal the two steps they stand for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn.resample import Conv1x1, Conv3x3, DownConv3x3, UpConv3x3, blur, double, pool, smooth_double, smooth_pool


def plain(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """What a layer stands for, as PyTorch has it."""
    if isinstance(layer, UpConv3x3):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    y = F.conv2d(x, layer.weight, layer.bias, padding=layer.padding)  # type: ignore[arg-type]
    return F.avg_pool2d(y, 2) if isinstance(layer, DownConv3x3) else y


KINDS = [UpConv3x3, DownConv3x3, Conv3x3, Conv1x1]


def gradients(layer: nn.Conv2d, y: Tensor, x: Tensor, direction: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(y, [x, *layer.parameters()], direction.to(y.dtype)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [4, 8, 18])
def test_they_are_the_convolutions_they_stand_for(kind: type, bias: bool, size: int) -> None:
    torch.manual_seed(0)
    layer = kind(6, 20, bias=bias).double()
    x = torch.randn(2, 6, size, size, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    y, expected = layer(x), plain(layer, x)
    assert torch.allclose(y, expected)
    direction = torch.randn_like(expected)
    for got, wanted in zip(gradients(layer, y, x, direction), gradients(layer, expected, x, direction), strict=True):
        assert torch.allclose(got, wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [4, 8, 18])
def test_bf16_is_near(kind: type, bias: bool, size: int) -> None:
    torch.manual_seed(0)
    layer = kind(16, 24, bias=bias).to(memory_format=torch.channels_last)
    x = torch.randn(3, 16, size, size).contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = plain(layer, x)
    direction = torch.randn_like(expected)
    wanted = gradients(layer, expected, x, direction)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    for a, b in zip([y, *gradients(layer, y, x, direction)], [expected, *wanted], strict=True):
        assert float((a.detach().float() - b.detach()).norm() / b.detach().norm()) < 1e-2


def test_doubling_and_its_gradient() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(double(x), F.interpolate(x, scale_factor=2, mode="nearest"))
    assert torch.autograd.gradcheck(double, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(double, (x,), fast_mode=True)


def test_pool_is_the_mean() -> None:
    assert torch.allclose(pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])), torch.tensor(3.0))


def test_gradients_of_gradients() -> None:
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    for kind in KINDS:
        assert torch.autograd.gradgradcheck(kind(2, 3).double(), (x,), fast_mode=True)


def test_smooth_resampling_is_by_one_three_three_one() -> None:
    line = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    kernel = (line[:, None] * line).expand(5, 1, 4, 4)
    x = torch.randn(2, 5, 8, 8, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(smooth_pool(x), F.conv2d(x, kernel, stride=2, padding=1, groups=5))
    assert torch.allclose(smooth_double(x), F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=5))
    # Away from the edges, where zeros come in, that is bilinear interpolation.
    expected = F.interpolate(x, scale_factor=2, mode="bilinear")
    assert torch.allclose(smooth_double(x)[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1])


@pytest.mark.parametrize("resample", [blur, smooth_double, smooth_pool])
def test_smooth_resampling_can_be_differentiated_twice(resample: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(resample, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(resample, (x,), fast_mode=True)
