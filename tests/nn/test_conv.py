"""Convolutions as matrix products equal PyTorch's own, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ganvas.nn.conv import Conv2d, ConvTranspose2d, FromLatent, ToLogit, fold, unfold


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


# Sizes on both sides of each rule: area at the narrow side 64 and less, wide and not so wide.
@pytest.mark.parametrize(
    ("ours", "theirs", "maps", "size"),
    [
        (Conv2d, nn.Conv2d, 24, 16),
        (Conv2d, nn.Conv2d, 260, 16),
        (Conv2d, nn.Conv2d, 24, 8),
        (Conv2d, nn.Conv2d, 3, 64),
        (ConvTranspose2d, nn.ConvTranspose2d, 24, 8),
        (ConvTranspose2d, nn.ConvTranspose2d, 24, 4),
        (ConvTranspose2d, nn.ConvTranspose2d, 300, 8),
        (ConvTranspose2d, nn.ConvTranspose2d, 24, 16),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_bf16_equals_fp32_to_its_rounding(ours: type, theirs: type, maps: int, size: int, bias: bool) -> None:
    torch.manual_seed(0)
    a, b = ours(maps, 40, 4, 2, 1, bias=bias), theirs(maps, 40, 4, 2, 1, bias=bias)
    b.load_state_dict(a.state_dict())
    a.to(memory_format=torch.channels_last)
    x = torch.randn(3, maps, size, size)
    xa, xb = x.clone().to(memory_format=torch.channels_last).requires_grad_(), x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ya = a(xa)
    yb = b(xb)
    gradient = torch.randn_like(yb)
    ya.float().backward(gradient)
    yb.backward(gradient)
    assert relative(ya.detach(), yb.detach()) < 6e-3
    assert relative(xa.grad, xb.grad) < 6e-3  # type: ignore[arg-type]
    assert relative(a.weight.grad, b.weight.grad) < 6e-3
    if bias:
        assert relative(a.bias.grad, b.bias.grad) < 1e-2
    # Adam's fused kernel walks both as flat memory.
    assert a.weight.grad.stride() == a.weight.stride()


def test_outputs_may_be_changed_in_place() -> None:
    layer = Conv2d(4, 8, 4, 2, 1, bias=False)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        nn.functional.leaky_relu(layer(x), 0.2, inplace=True).float().sum().backward()
    assert x.grad is not None


def test_fold_is_the_transpose_of_unfold() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8, 12)
    y = torch.randn(2 * 4 * 6, 16 * 5)
    assert torch.allclose((unfold(x) * y).sum(), (x * fold(y, (2, 5, 8, 12))).sum(), rtol=1e-4)


def test_first_and_last_layers_are_the_convolutions_they_stand_for() -> None:
    torch.manual_seed(0)
    first = FromLatent(7, 6, 4, 1, 0, bias=False)
    z = torch.randn(3, 7, 1, 1)
    assert torch.allclose(first(z), nn.functional.conv_transpose2d(z, first.weight), atol=1e-6)
    last = ToLogit(6, 1, 4, 1, 0)
    x = torch.randn(3, 6, 4, 4)
    assert torch.allclose(last(x), nn.functional.conv2d(x, last.weight, last.bias), atol=1e-6)


def test_gradients_of_gradients_are_pytorchs_in_fp32() -> None:
    layer = Conv2d(3, 4, 4, 2, 1, bias=False).double()
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x,), fast_mode=True)
