"""Normalisation: identities."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas.nn.norm import ConditionalBatchNorm2d, MinibatchStd, PixelNorm, batch_norms, class_affine


def test_pixel_norm_makes_each_pixels_mean_square_one() -> None:
    x = torch.randn(2, 16, 3, 3) * 5
    assert torch.allclose(PixelNorm()(x).square().mean(1), torch.ones(2, 3, 3), atol=1e-4)


def test_minibatch_std_sees_a_collapse() -> None:
    layer = MinibatchStd()
    same = torch.randn(1, 4, 2, 2).expand(8, -1, -1, -1)
    assert torch.allclose(layer(same)[:, 4], torch.full((8, 2, 2), 1e-4), atol=1e-6)
    varied = torch.randn(512, 4, 2, 2)
    assert torch.allclose(layer(varied)[:, 4], torch.ones(512, 2, 2), atol=0.05)


def test_batch_norms_are_found_at_any_depth() -> None:
    deep = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    assert len(batch_norms(deep)) == 2
    assert len(batch_norms(nn.ModuleList([ConditionalBatchNorm2d(3, class_affine(2, 3))]))) == 1


def conditional(maps: int = 6, classes: int = 4) -> ConditionalBatchNorm2d:
    torch.manual_seed(0)
    return ConditionalBatchNorm2d(maps, class_affine(classes, maps))


def test_a_new_conditional_batch_norm_is_a_plain_one() -> None:
    layer, other, x = conditional(), nn.BatchNorm2d(6), torch.randn(5, 6, 4, 4) * 3 + 1
    assert torch.allclose(layer(x, torch.arange(5) % 4), other(x), atol=1e-6)
    assert torch.equal(layer.running_var, other.running_var)  # type: ignore[arg-type]
    assert torch.allclose(layer.eval()(x, torch.arange(5) % 4), other.eval()(x), atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_each_picture_gets_its_classs_gain_and_offset(training: bool) -> None:
    layer, x, labels = conditional(), torch.randn(5, 6, 4, 4) * 3 + 1, torch.tensor([0, 3, 3, 1, 2])
    nn.init.normal_(layer.to_affine.weight)  # type: ignore[arg-type]
    layer.train(training)
    y = layer(x, labels)
    gain, offset = layer.to_affine.weight[labels].chunk(2, 1)  # type: ignore[index]
    mean, variance = (x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)) if training else (torch.zeros(6), torch.ones(6))
    normalised = (x - mean[:, None, None]) / (variance + layer.eps)[:, None, None].sqrt()
    assert torch.allclose(y, normalised * (1 + gain[:, :, None, None]) + offset[:, :, None, None], atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_conditional_gradients_are_autograds(training: bool) -> None:
    layer = conditional().double().train(training)
    nn.init.normal_(layer.to_affine.weight)  # type: ignore[arg-type]
    x = torch.randn(5, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 3, 1, 2])
    assert torch.autograd.gradcheck(lambda x: layer(x, labels), (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x, labels), (x,), fast_mode=True)


def test_conditional_in_bf16_is_near() -> None:
    layer, labels = conditional(), torch.tensor([0, 3, 3, 1, 2])
    nn.init.normal_(layer.to_affine.weight)  # type: ignore[arg-type]
    x = torch.randn(5, 6, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16(), labels)
    assert y.dtype == torch.bfloat16
    expected = layer(x, labels).detach()
    assert float((y.detach().float() - expected).norm() / expected.norm()) < 1e-2
