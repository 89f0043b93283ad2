"""Normalisation: identities."""

from __future__ import annotations

import torch
from torch import nn

from ganvas.nn.norm import MinibatchStd, PixelNorm, batch_norms


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
