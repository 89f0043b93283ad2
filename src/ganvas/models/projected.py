"""Projected GAN's discriminators (Sauer et al. 2021, arXiv 2111.01007); the paper's generator is FastGAN's (section 4.1).

Pictures are projected by a frozen network into maps of four scales, and these by fixed random convolutions across their
channels (1x1) and across scales (3x3, from the coarsest to the finest), so that a discriminator can't pick the few
channels that tell the most (section 3.2). Each scale has a discriminator of its own, which learns.

The frozen network is EfficientNet-Lite0, smaller than the paper's Lite1, and sees pictures at their own size, at least
64 pixels (the paper: 256), or its cost would leave nothing for the players: on one AMX core in fp32, forward and back
for one picture took 2.9 ms at 64 pixels, 5.6 ms at 96 and 12.6 ms at 128. At 64 its maps are 16x16, 8x8, 4x4 and 2x2.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.config.modern import ProjectedDiscriminator
from ganvas.features.pyramid import PYRAMID, SMALLEST_INPUT, FrozenPyramid, resized
from ganvas.models.common import needed
from ganvas.models.residual import BASE, CHANNELS, check_resolution, normalise_weights
from ganvas.nn.conv import Conv2d, dcgan_init
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.norm import normalise
from ganvas.nn.resample import Conv1x1, Conv3x3
from ganvas.types import Images, Labels, Logits, PerImage


class Mixing(nn.Module):
    """Fixed random projections of the frozen maps: across channels, then across scales (Sauer et al. 2021, section 3.2).

    Their weights, of He et al. 2015, are drawn when the network is made, from the run's seed, and are buffers: a
    checkpoint keeps them.
    """

    def __init__(self, config: ProjectedDiscriminator):
        super().__init__()
        self.kind = config.mixing
        widths = [min(config.width << i, config.max_width) for i in range(len(PYRAMID))]
        self.widths = list(PYRAMID) if config.mixing == "none" else widths
        if config.mixing == "none":
            return
        for index, (entering, leaving) in enumerate(zip(PYRAMID, widths, strict=True)):
            self.register_buffer(f"channels{index}", _random(leaving, entering, 1))
        if config.mixing == "scales":
            # The coarsest map has none below it.
            for index, (leaving, entering) in enumerate(itertools.pairwise(widths)):
                self.register_buffer(f"scales{index}", _random(leaving, entering, 3))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of strides 4, 8, 16 and 32 to as many of the same sides."""
        if self.kind == "none":
            return maps
        mixed = [self._convolved(x, f"channels{index}") for index, x in enumerate(maps)]
        if self.kind == "scales":
            for index in reversed(range(len(mixed) - 1)):
                # A convolution with fixed weights of a map that is doubled: first convolved, on a quarter of the pixels.
                coarser = self._convolved(mixed[index + 1], f"scales{index}")
                mixed[index] = mixed[index] + F.interpolate(coarser, scale_factor=2.0, mode="bilinear")
        return mixed

    def _convolved(self, x: Tensor, name: str) -> Tensor:
        weight = self.get_buffer(name)
        return F.conv2d(x, weight.to(x.dtype), padding=weight.shape[2] // 2)


def _random(leaving: int, entering: int, kernel: int) -> Tensor:
    return nn.init.kaiming_normal_(torch.empty(leaving, entering, kernel, kernel))


def _norm(kind: Literal["batch", "layer"] | None, maps: int) -> nn.Module:
    """What follows a convolution.

    Batch norm hides from a discriminator what all pictures of a batch have in common, such as their ground, since real
    pictures and fakes come in batches of their own; layer norm (Ba et al. 2016) looks at one picture at a time.
    """
    if kind is None:
        return nn.Identity()
    return nn.BatchNorm2d(maps) if kind == "batch" else nn.GroupNorm(1, maps)


class ScaleDiscriminator(nn.Module):
    """Maps (B, C, s, s) of one scale to logits (B, K): 4x4 convolutions of stride 2 down to 4x4, 3x3, and a logit for each pixel.

    All weights have spectral norm, and if wanted a norm of the maps follows; a map that is smaller than 4x4 is left as it is.
    """

    def __init__(self, maps: int, side: int, config: ProjectedDiscriminator, classes: int, first: int | None = None):
        """`first`: so many maps leave a layer before all others, which no norm follows; None: there is none."""
        super().__init__()
        self.slope, self.labels = config.slope, config.labels
        bias = config.norm is None
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        if first is not None:
            self.layers.append(Conv2d(maps, first, 4, 2, 1))
            self.norms.append(nn.Identity())
            maps, side = first, side // 2
        while side > BASE:
            leaving = min(2 * maps, config.max_width)
            self.layers.append(Conv2d(maps, leaving, 4, 2, 1, bias=bias))
            self.norms.append(_norm(config.norm, leaving))
            maps, side = leaving, side // 2
        self.layers.append(Conv3x3(maps, maps, bias=bias))
        self.norms.append(_norm(config.norm, maps))
        self.head = Conv1x1(maps, 1, bias=False)
        if config.labels is not None:
            self.projection = ClassEmbedding(classes, maps)

    def forward(self, x: Tensor, labels: Labels | None) -> Logits:
        """One logit for each pixel of the last map."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = normalise(norm, layer(x), slope=self.slope)
        logits = self.head(x).float().flatten(1)
        if self.labels is not None:
            features = x.mean((2, 3), dtype=torch.float32)
            logits = logits + (self.projection(needed(labels)).float() * features).sum(1, keepdim=True)
        return logits


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] and class indices (B,) to the logits (B, K) of all scales (eq. 4).

    One that sees the picture itself may stand beside them, which the paper does not have: the frozen maps, a quarter as
    large, let fine patterns through that an eye sees.
    """

    def __init__(self, config: ProjectedDiscriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512, or the frozen weights are missing."""
        super().__init__()
        check_resolution(resolution)
        self.config = config
        self.input_size = config.input_size or max(resolution, SMALLEST_INPUT)
        self.frozen = FrozenPyramid()
        self.mixing = Mixing(config)
        sides = [self.input_size // (4 << i) for i in range(len(PYRAMID))]
        self.scales = nn.ModuleList(
            ScaleDiscriminator(maps, side, config, classes) for maps, side in zip(self.mixing.widths, sides, strict=True)
        )
        self.pixels = None if config.pixels is None else ScaleDiscriminator(CHANNELS, resolution, config, classes, config.pixels)
        normalise_weights(self)
        dcgan_init(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits, higher for real; `labels` are needed exactly if the model is conditional."""
        return self._logits(self.mixing(self.frozen(resized(images, self.input_size))), images, labels)

    def learn(self, images: Images, labels: Labels | None = None) -> tuple[Logits, dict[str, tuple[float, PerImage]]]:
        """Logits of real pictures, and R1 (Mescheder et al. 2018, eq. 9) at the features instead of the pictures.

        What learns begins at the features, so that its gradient there is what must not be steep for training to converge,
        and the frozen network need not be differentiated twice.
        """
        if not self.config.r1:
            return self(images, labels), {}
        with torch.no_grad():
            maps = self.mixing(self.frozen(resized(images, self.input_size)))
        with torch.autocast(images.device.type, enabled=False):
            leaves = [x.float().requires_grad_() for x in maps]
            logits = self._logits(leaves, images.float(), labels)
            # The mean over a picture's logits is its judgement.
            gradients = torch.autograd.grad(logits.mean(1).sum(), leaves, create_graph=True)
        steepness = torch.stack([g.square().flatten(1).sum(1) for g in gradients]).sum(0)
        return logits, {"r1": (self.config.r1, steepness)}

    def _logits(self, maps: list[Tensor], images: Images, labels: Labels | None) -> Logits:
        logits = [scale(x, labels) for scale, x in zip(self.scales, maps, strict=True)]
        if self.pixels is not None:
            logits.append(self.pixels(images, labels))
        return torch.cat(logits, 1)
