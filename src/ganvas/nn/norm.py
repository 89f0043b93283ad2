"""Normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.nn.embed import ClassEmbedding
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


class ConditionalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose gain and offset are functions of a condition (Dumoulin et al. 2017; de Vries et al. 2017).

    `to_affine` maps the condition to (B, 2 * maps): the gains' deviations from 1, then the offsets. An embedding of the
    class makes SNGAN's and SAGAN's conditional batch norm; a linear layer of the shared embedding and a chunk of the
    latent makes BigGAN's (Brock et al. 2019, appendix B).
    """

    def __init__(self, maps: int, to_affine: nn.Module, eps: float = 1e-5):
        super().__init__(maps, eps=eps, affine=False)
        self.to_affine = to_affine

    def forward(self, input: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to the same shape; `condition` is what `to_affine` takes, one row for each picture."""
        normalised = super().forward(input)
        gain, offset = self.to_affine(condition).float()[:, :, None, None].chunk(2, 1)
        return torch.addcmul(offset.to(input.dtype), normalised, (1 + gain).to(input.dtype))


def class_affine(classes: int, maps: int) -> nn.Embedding:
    """A gain and an offset for each class; at first all gains are one and all offsets zero."""
    table = ClassEmbedding(classes, 2 * maps)
    nn.init.zeros_(table.weight)
    return table


def batch_norms(module: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """The batch norms in a module."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
