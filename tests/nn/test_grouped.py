"""Grouped convolutions equal PyTorch's, with their gradients and the gradients of those."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ganvas.nn.grouped import GroupedConv2d


@pytest.mark.parametrize(("entering", "leaving", "groups", "kernel"), [(6, 6, 3, 3), (4, 8, 2, 3), (4, 4, 4, 5), (3, 2, 1, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_they_are_pytorchs(entering: int, leaving: int, groups: int, kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = GroupedConv2d(entering, leaving, kernel, groups, bias).double()
    x = torch.randn(2, entering, 6, 5, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(x, layer.weight, layer.bias, padding=kernel // 2, groups=groups)
    y = layer(x)
    assert torch.allclose(y, expected)
    direction = torch.randn_like(expected)
    inputs = [x, *layer.parameters()]
    first, second = (torch.autograd.grad(out, inputs, direction, create_graph=True) for out in (y, expected))
    for got, wanted in zip(first, second, strict=True):
        assert torch.allclose(got, wanted)
    # What a penalty asks for: how the gradient at the picture changes with the kernel.
    twice = [torch.autograd.grad(found[0].square().sum(), layer.weight, retain_graph=True)[0] for found in (first, second)]
    assert torch.allclose(*twice)
    assert torch.autograd.gradgradcheck(layer, (x,), fast_mode=True)


def test_bf16_is_near() -> None:
    torch.manual_seed(0)
    layer = GroupedConv2d(32, 32, 3, 2).to(memory_format=torch.channels_last)
    x = torch.randn(2, 32, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    direction = torch.randn_like(expected)
    inputs = [x, *layer.parameters()]
    for got, wanted in zip(
        torch.autograd.grad(y, inputs, direction.bfloat16()), torch.autograd.grad(expected, inputs, direction), strict=True
    ):
        assert float((got - wanted).norm() / wanted.norm()) < 0.02
