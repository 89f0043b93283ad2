"""The frozen pyramid: the network's maps, faster in bf16, with the gradients that they should have."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.features.efficientnet import PYRAMID, SameConv
from ganvas.features.pyramid import FrozenPyramid, _Depthwise, _frozen_in_bf16, _Relu6


@pytest.fixture(scope="module")
def pyramid() -> FrozenPyramid:
    return FrozenPyramid()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
@pytest.mark.parametrize("size", [(4, 4), (8, 6), (7, 5), (2, 2)])
def test_a_depthwise_convolution_and_its_gradient_are_pytorchs(kernel: int, stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SameConv(3, 3, kernel, stride, groups=3).double().requires_grad_(False)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected, y = layer(x), _Depthwise.apply(x, layer.weight, layer.bias, stride)
    assert isinstance(y, Tensor)
    assert torch.allclose(y, expected)
    direction = torch.randn_like(expected)
    (got,), (wanted,) = torch.autograd.grad(y, x, direction), torch.autograd.grad(expected, x, direction)
    assert torch.allclose(got, wanted)


def test_relu6_and_its_gradient_are_pytorchs() -> None:
    x = torch.linspace(-2, 8, 41, dtype=torch.float64, requires_grad=True)
    y, expected = _Relu6.apply(x), F.relu6(x)
    assert isinstance(y, Tensor)
    assert torch.equal(y, expected)
    (got,), (wanted,) = torch.autograd.grad(y.sum(), x), torch.autograd.grad(expected.sum(), x)
    assert torch.equal(got, wanted)


def test_in_bf16_it_is_near_and_as_near_as_pytorchs_layers(pyramid: FrozenPyramid) -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 3, 64, 64).mul(2).sub(1).contiguous(memory_format=torch.channels_last).requires_grad_()
    full = pyramid(x)
    assert [tuple(m.shape) for m in full] == [(4, c, 16 >> i, 16 >> i) for i, c in enumerate(PYRAMID)]
    with torch.autocast("cpu", torch.bfloat16):
        half = pyramid(x)
    assert all(m.dtype == torch.bfloat16 for m in half)
    for a, b in zip(half, full, strict=True):
        assert float((a.detach().float() - b.detach()).norm() / b.detach().norm()) < 0.06
    directions = [torch.randn_like(m) for m in full]
    (wanted,) = torch.autograd.grad(sum((m * d).sum() for m, d in zip(full, directions, strict=True)), x)  # type: ignore[arg-type]
    (got,) = torch.autograd.grad(sum((m.float() * d).sum() for m, d in zip(half, directions, strict=True)), x)  # type: ignore[arg-type]
    # bf16's rounding switches activations of many layers; PyTorch's own layers in bf16 are off by the same 0.2.
    assert float((got - wanted).norm() / wanted.norm()) < 0.3


def test_without_gradients_it_is_the_same_but_for_rounding(pyramid: FrozenPyramid, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for size in (64, 32):
        x = torch.rand(3, 3, size, size).mul(2).sub(1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            with_gradients, without = pyramid(x.clone().requires_grad_()), pyramid(x)
        assert not any(m.requires_grad for m in without)
        for a, b in zip(without, with_gradients, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert float((a.float() - b.detach().float()).norm() / b.detach().float().norm()) < 0.06
    # Where PyTorch has no fused operators, its plain ones serve.
    monkeypatch.setattr("ganvas.features.pyramid.fused_copy", lambda *_: None)
    other = FrozenPyramid()
    with torch.autocast("cpu", torch.bfloat16):
        plain = other(x)
    assert not torch.equal(plain[3], with_gradients[3].detach()), "the fused operators were not used"
    for a, b in zip(plain, with_gradients, strict=True):
        assert float((a.float() - b.detach().float()).norm() / b.detach().float().norm()) < 0.06


@pytest.mark.parametrize("kernels", ["0", "1"])
def test_fused_operators_have_the_gradient_of_plain_ones(pyramid: FrozenPyramid, monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    """Block by block on the same input, where only the last rounding differs."""
    monkeypatch.setenv("GANVAS_KERNELS", kernels)
    torch.manual_seed(0)
    shape = torch.Size((3, 3, 64, 64))
    images = torch.rand(shape).mul(2).sub(1).contiguous(memory_format=torch.channels_last).bfloat16()
    faster = pyramid._without_gradients(images.shape)
    if faster is None:
        pytest.skip("this PyTorch has no fused operators")
    fused, plain = (_frozen_in_bf16(pyramid.full, which) for which in (faster, None))
    x = plain.stem(images)
    for stage, other in zip(fused.stages, plain.stages, strict=True):
        for block, reference in zip(stage.children(), other.children(), strict=True):
            a, b = (x.detach().clone(memory_format=torch.channels_last).requires_grad_() for _ in range(2))
            y, expected = block(a), reference(b)
            assert float((y - expected).detach().float().norm() / expected.detach().float().norm()) < 0.01
            direction = torch.randn_like(expected)
            (got,), (wanted,) = torch.autograd.grad(y, a, direction), torch.autograd.grad(expected, b, direction)
            assert float((got - wanted).float().norm() / wanted.float().norm()) < 0.02
            x = expected.detach()


def test_what_it_is_shown_first_changes_no_bits() -> None:
    # A resumed run is shown other pictures first than one that was never stopped. Nearly grey ones lose most to rounding.
    torch.manual_seed(0)
    pictures = (torch.rand(2, 3, 64, 64) * 2 - 1).contiguous(memory_format=torch.channels_last)
    found = []
    with torch.autocast("cpu", torch.bfloat16):
        for first in (0.02 * pictures, pictures):
            fresh = FrozenPyramid()
            fresh(first)
            found.append(fresh(pictures))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_its_weights_do_not_learn(pyramid: FrozenPyramid) -> None:
    assert not any(p.requires_grad for p in pyramid.full.parameters())
