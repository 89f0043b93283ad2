"""Fused layers against the plain ones that they stand for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganvas.nn.fused import FusedConv, FusedLinear, FusedNorm, FusedUp, affine, with_norm
from ganvas.nn.norm import ConditionalBatchNorm2d, class_affine

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def shaken(norm: nn.BatchNorm2d, seed: int = 0) -> nn.BatchNorm2d:
    """The norm in eval mode, with statistics and parameters of its own."""
    g = torch.Generator().manual_seed(seed)
    size = norm.num_features
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        norm.running_mean.copy_(torch.randn(size, generator=g))
        norm.running_var.copy_(torch.rand(size, generator=g) + 0.2)
        if norm.affine:
            norm.weight.copy_(torch.randn(size, generator=g))
            norm.bias.copy_(torch.randn(size, generator=g))
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
def test_a_norm_folded_into_a_convolution_gives_the_same_maps(transposed: bool, bias: bool) -> None:
    torch.manual_seed(1)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer, norm = kind(5, 7, 4, 2, 1, bias=bias).double(), shaken(nn.BatchNorm2d(7)).double()
    x = torch.randn(3, 5, 8, 8, dtype=torch.float64)
    weight, offset = with_norm(layer.weight, layer.bias, norm, transposed)
    folded = (F.conv_transpose2d if transposed else F.conv2d)(x, weight, offset, stride=2, padding=1)
    torch.testing.assert_close(folded, norm(layer(x)), rtol=1e-12, atol=1e-12)


def test_without_a_norm_nothing_changes_and_without_statistics_there_is_none() -> None:
    layer = nn.Conv2d(3, 4, 3)
    weight, bias = with_norm(layer.weight, layer.bias, None)
    assert torch.equal(weight, layer.weight)
    assert bias is not None
    assert torch.equal(bias, layer.bias)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no affine map"):
        affine(nn.BatchNorm2d(4, track_running_stats=False))


@pytest.mark.parametrize(("side", "leaving"), [(4, 24), (8, 24), (16, 24), (16, 3)])
@pytest.mark.parametrize("slope", [None, 0.0, 0.2])
def test_a_fused_transposed_convolution_is_the_plain_one(side: int, leaving: int, slope: float | None) -> None:
    """Each of the ways: a product that is folded, phases of small maps and of few, and oneDNN's own."""
    torch.manual_seed(2)
    x, weight, bias = torch.randn(5, 16, side, side), torch.randn(16, leaving, 4, 4), torch.randn(leaving)
    plain = F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    plain = plain if slope is None else F.leaky_relu(plain, slope)
    with torch.inference_mode():
        fused = FusedUp(weight, bias, slope, torch.float32)
        torch.testing.assert_close(fused(x), plain, rtol=1e-5, atol=1e-4)
        # Laid out for one number of pictures, right for another too.
        torch.testing.assert_close(fused(x[:2]), plain[:2], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5])
def test_other_kernels_double_the_size_too(kernel: int) -> None:
    torch.manual_seed(3)
    x, weight = torch.randn(4, 8, 8, 8), torch.randn(8, 6, kernel, kernel)
    padding, extra = (kernel - 1) // 2, 1
    plain = F.conv_transpose2d(x, weight, stride=2, padding=padding, output_padding=extra)
    with torch.inference_mode():
        found = FusedUp(weight, None, None, torch.float32, padding=padding, output_padding=extra)(x)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-4)


def test_a_fused_convolution_adds_what_lies_beside_it() -> None:
    torch.manual_seed(4)
    x, weight, bias, beside = torch.randn(4, 8, 6, 6), torch.randn(10, 8, 3, 3), torch.randn(10), torch.randn(4, 10, 6, 6)
    with torch.inference_mode():
        layer = FusedConv(weight, bias, None, torch.float32, padding=1)
        torch.testing.assert_close(layer(x), F.conv2d(x, weight, bias, padding=1), rtol=1e-5, atol=1e-4)
        found = layer(x, beside.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, F.conv2d(x, weight, bias, padding=1) + beside, rtol=1e-5, atol=1e-4)


def test_a_fused_first_layer_makes_maps_of_its_rows() -> None:
    torch.manual_seed(5)
    layer = nn.ConvTranspose2d(6, 5, 4, bias=False)
    x = torch.randn(3, 6, 1, 1)
    fused = FusedLinear(layer.weight.detach().permute(2, 3, 1, 0).reshape(-1, 6), None, 0.0, torch.float32, side=4)
    torch.testing.assert_close(fused(x), layer(x).relu(), rtol=1e-5, atol=1e-5)


def test_a_fused_norm_is_the_conditional_one() -> None:
    torch.manual_seed(6)
    table = class_affine(4, 6)
    nn.init.normal_(table.weight)
    norm = shaken(ConditionalBatchNorm2d(6, table))
    x, labels = torch.randn(5, 6, 4, 4), torch.tensor([0, 3, 1, 1, 2])
    with torch.inference_mode():
        torch.testing.assert_close(FusedNorm(norm, 0.1, torch.float32)(x, labels), F.leaky_relu(norm(x, labels), 0.1), rtol=1e-5, atol=1e-5)
        plain = shaken(nn.BatchNorm2d(6), 1)
        torch.testing.assert_close(FusedNorm(plain, None, torch.float32)(x), plain(x), rtol=1e-5, atol=1e-5)
