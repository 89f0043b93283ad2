"""Normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.types import Images


class PixelNorm(nn.Module):
    """Each pixel's feature vector divided by its root mean square (Karras et al. 2018, section 4.2)."""

    def __init__(self, eps: float = 1e-8):
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + self.eps).to(x.dtype)


class MinibatchStd(nn.Module):
    """Appends one channel that holds the batch's mean standard deviation (Karras et al. 2018, section 3)."""

    def __init__(self, eps: float = 1e-8):
        super().__init__()
        self.eps = eps

    def forward(self, x: Images) -> Tensor:
        """(B, C, H, W) to (B, C + 1, H, W)."""
        deviation = (x.float().var(0, unbiased=False) + self.eps).sqrt().mean().to(x.dtype)
        return torch.cat([x, deviation.expand(x.shape[0], 1, *x.shape[2:])], 1)


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms in a module."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
