"""DCGAN (Radford, Metz and Chintala 2016) at any power of two: convolutions of stride 2, G beside D."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from ganvas.config.model import DcganDiscriminator, DcganGenerator
from ganvas.errors import UsageError
from ganvas.models.common import CHANNELS, INITS, OUTPUTS, needed
from ganvas.nn.conv import Conv2d, FromLatent, ToLogit, down, spectral, up
from ganvas.nn.embed import ClassEmbedding, onehot, onehot_channels
from ganvas.nn.norm import Layers, MinibatchStd, PixelNorm
from ganvas.types import ClassLogits, ClassWeights, Conditions, Images, Labels, Latents, PerImage


def widths(resolution: int, width: int, max_width: int) -> list[int]:
    """Feature maps at resolution / 2, resolution / 4, ... down to 4: doubled each time, up to `max_width`.

    Raises:
        UsageError: the resolution is no power of two from 8 to 1024.
    """
    if resolution < 8 or resolution > 1024 or resolution & (resolution - 1):
        raise UsageError(f"data.resolution is {resolution}: a DCGAN needs a power of two from 8 to 1024, such as 32, 64 or 128")
    levels = resolution.bit_length() - 3
    return [min(width << level, max_width) for level in range(levels)]


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R): in [-1, 1] by tanh, in [0, 1] by a sigmoid."""

    def __init__(self, config: DcganGenerator, resolution: int, latent_size: int, classes: int):
        super().__init__()
        self.config, self.classes, self.latent_size = config, classes, latent_size
        maps = widths(resolution, config.width, config.max_width)[::-1]
        entering = latent_size + (classes if config.labels == "onehot" else 0)
        if config.labels == "embedding":
            self.embedding = ClassEmbedding(classes, latent_size)
        bias, normed = config.norm is None, config.spectral_norm
        layers = [spectral(FromLatent(entering, maps[0], 4, 1, 0, bias=bias), normed), *_after(config, maps[0])]
        for wide, narrow in itertools.pairwise(maps):
            layers += [spectral(up(wide, narrow, config.kernel, bias), normed), *_after(config, narrow)]
        layers += [spectral(up(maps[-1], CHANNELS, config.kernel, bias), normed), OUTPUTS[config.output]()]
        self.layers = Layers(*layers)
        INITS[config.init](self)

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures in the network's range; `labels`, or weights of classes, are needed exactly if the model is conditional."""
        if self.config.labels == "onehot":
            latents = torch.cat([latents, onehot(needed(labels), self.classes, latents.dtype)], 1)
        elif self.config.labels == "embedding":
            latents = latents * self.embedding(needed(labels))
        return self.layers(latents[:, :, None, None])


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) and class indices (B,) to logits (B,)."""

    def __init__(self, config: DcganDiscriminator, resolution: int, classes: int):
        super().__init__()
        self.config, self.classes = config, classes
        maps = widths(resolution, config.width, config.max_width)
        entering = CHANNELS + (classes if config.labels == "onehot" else 0)
        bias, normed = config.norm is None, config.spectral_norm
        layers = [spectral(down(entering, maps[0], config.kernel, bias), normed), *_after(config, maps[0], first=True)]
        for narrow, wide in itertools.pairwise(maps):
            layers += [spectral(down(narrow, wide, config.kernel, bias), normed), *_after(config, wide)]
        if config.minibatch_std:
            layers.append(MinibatchStd())
        self.layers = Layers(*layers)
        self.head = spectral(ToLogit(maps[-1] + config.minibatch_std, 1, 4, 1, 0, bias=bias), normed)
        if config.labels == "projection":
            self.projection = spectral(ClassEmbedding(classes, maps[-1]), normed)
        elif config.labels == "auxiliary":
            self.classifier = spectral(ToLogit(maps[-1] + config.minibatch_std, classes, 4, 1, 0, bias=bias), normed)
        INITS[config.init](self)

    def forward(
        self, images: Images, labels: Conditions | None = None, *, with_classes: bool = False
    ) -> PerImage | tuple[PerImage, ClassLogits]:
        """Logits, higher for real; with an auxiliary classifier and `with_classes`, also those of each class (B, classes).

        `labels` are needed exactly if classes enter by one-hot channels or projection.
        """
        if self.config.labels == "onehot":
            images = onehot_channels(images, needed(labels), self.classes)
        features = self.layers(images)
        logits = self.head(features).float().flatten()
        if self.config.labels == "projection":
            # Miyato and Koyama 2018, eq. 4: the class's vector times the summed features, here their mean so
            # that its size does not depend on the last layer's.
            pooled = features[:, : self.projection.embedding_dim].float().mean((2, 3))
            logits = logits + (self.projection(needed(labels)).float() * pooled).sum(1)
        return (logits, self.classifier(features).float().flatten(1)) if with_classes else logits


def _after(config: DcganGenerator | DcganDiscriminator, maps: int, first: bool = False) -> list[nn.Module]:
    """What follows a change of size: normalisation and activation, and as often as asked for another convolution."""
    layers = _activated(config, maps, normed=not first)
    for _ in range(config.extra_layers):
        convolution = Conv2d(maps, maps, 3, 1, 1, bias=config.norm is None)
        layers += [spectral(convolution, config.spectral_norm), *_activated(config, maps)]
    return layers


def _activated(config: DcganGenerator | DcganDiscriminator, maps: int, normed: bool = True) -> list[nn.Module]:
    layers: list[nn.Module] = []
    if normed and config.norm == "batch":
        layers.append(nn.BatchNorm2d(maps, eps=config.norm_eps or 1e-5, momentum=config.norm_momentum))
    elif normed and config.norm == "pixel":
        layers.append(PixelNorm(config.norm_eps or 1e-8))
    layers.append(nn.LeakyReLU(config.slope, inplace=True) if config.slope else nn.ReLU(inplace=True))
    return [*layers, nn.Dropout2d(config.dropout)] if config.dropout else layers
