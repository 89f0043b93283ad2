"""Normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.nn.activation import activate, slope_of
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.kernels.functions import Running, activation, ready_for
from ganvas.nn.kernels.functions import norm as normed
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
        gain, offset = (t[:, :, None, None].to(input.dtype) for t in self.affine_of(condition))
        return torch.addcmul(offset, normalised, gain)

    def affine_of(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """The gains and offsets (B, C) of a condition, in fp32."""
        deviation, offset = self.to_affine(condition).float().chunk(2, 1)
        return 1 + deviation, offset


def class_affine(classes: int, maps: int) -> nn.Embedding:
    """A gain and an offset for each class; at first all gains are one and all offsets zero."""
    table = ClassEmbedding(classes, 2 * maps)
    nn.init.zeros_(table.weight)
    return table


def normalise(norm: nn.Module, x: Tensor, condition: Tensor | None = None, *, slope: float = 1.0) -> Tensor:
    """A batch norm of either kind, or an identity, and what follows it, (B, C, H, W) to the same shape.

    Args:
        norm: with hooks or without.
        x: what it normalises.
        condition: a conditional norm's, one row for each picture.
        slope: of the leaky ReLU that follows; 0 is ReLU, 1 none.
    """
    y = _in_one(norm, x, condition, slope)
    if y is not None:
        return y
    y = norm(x, condition) if isinstance(norm, ConditionalBatchNorm2d) else norm(x)
    return y if slope == 1 else activate(y, slope)


def _in_one(norm: nn.Module, x: Tensor, condition: Tensor | None, slope: float) -> Tensor | None:
    """Norm and activation by the library's kernels, in training; None where they don't apply."""
    if not isinstance(norm, nn.BatchNorm2d) or not norm.training or norm.momentum is None or norm._forward_hooks or norm._forward_pre_hooks:
        return None
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None or ready_for(x) is None:
        return None
    if isinstance(norm, ConditionalBatchNorm2d):
        gain, offset = (t.contiguous() for t in norm.affine_of(condition))
    else:
        gain, offset = norm.weight, norm.bias
    if gain is None or offset is None:
        return None
    y = normed(x, gain, offset, Running(norm.running_mean, norm.running_var, norm.momentum), norm.eps, slope)
    if y is not None:
        norm.num_batches_tracked.add_(1)
    return y


class Layers(nn.Sequential):
    """`nn.Sequential`, whose batch norms and activations are computed together where they follow each other."""

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.Sequential`."""
        waiting = list(self)[::-1]
        while waiting:
            layer = waiting.pop()
            slope = slope_of(waiting[-1]) if waiting else None
            joined = None if slope is None else _in_one(layer, input, None, slope)
            if joined is not None:
                waiting.pop()
            elif (own := slope_of(layer)) is not None:
                joined = activation(input, own, inplace=bool(layer.inplace))
            input = layer(input) if joined is None else joined
        return input


def batch_norms(module: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """The batch norms in a module."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
