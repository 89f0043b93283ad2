"""DCGAN (Radford, Metz and Chintala 2016) at any power of two: 4x4 convolutions of stride 2, G beside D."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from ganvas.config.model import DcganDiscriminator, DcganGenerator
from ganvas.errors import UsageError
from ganvas.nn.conv import Conv2d, ConvTranspose2d, FromLatent, ToLogit, dcgan_init, spectral
from ganvas.nn.embed import ClassEmbedding, onehot, onehot_channels
from ganvas.nn.norm import MinibatchStd, PixelNorm
from ganvas.types import ClassWeights, Images, Labels, Latents, PerImage

CHANNELS = 3


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
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R) in [-1, 1]."""

    def __init__(self, config: DcganGenerator, resolution: int, latent_size: int, classes: int):
        super().__init__()
        self.config, self.classes, self.latent_size = config, classes, latent_size
        maps = widths(resolution, config.width, config.max_width)[::-1]
        entering = latent_size + (classes if config.labels == "onehot" else 0)
        if config.labels == "embedding":
            self.embedding = ClassEmbedding(classes, latent_size)
        layers: list[nn.Module] = [FromLatent(entering, maps[0], 4, 1, 0, bias=config.norm is None), *self._norm(maps[0])]
        for wide, narrow in itertools.pairwise(maps):
            layers += [ConvTranspose2d(wide, narrow, 4, 2, 1, bias=config.norm is None), *self._norm(narrow)]
        layers += [ConvTranspose2d(maps[-1], CHANNELS, 4, 2, 1, bias=config.norm is None), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        dcgan_init(self)

    def _norm(self, maps: int) -> list[nn.Module]:
        norm = {"batch": [nn.BatchNorm2d(maps)], "pixel": [PixelNorm()], None: []}[self.config.norm]
        return [*norm, nn.ReLU(inplace=True)]

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures in [-1, 1]; `labels`, or weights of classes, are needed exactly if the model is conditional."""
        if self.config.labels == "onehot":
            latents = torch.cat([latents, onehot(_needed(labels), self.classes, latents.dtype)], 1)
        elif self.config.labels == "embedding":
            latents = latents * self.embedding(_needed(labels))
        return self.layers(latents[:, :, None, None])


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] and class indices (B,) to logits (B,)."""

    def __init__(self, config: DcganDiscriminator, resolution: int, classes: int):
        super().__init__()
        self.config, self.classes = config, classes
        maps = widths(resolution, config.width, config.max_width)
        entering = CHANNELS + (classes if config.labels == "onehot" else 0)
        bias, normed = config.norm is None, config.spectral_norm
        layers: list[nn.Module] = [spectral(Conv2d(entering, maps[0], 4, 2, 1, bias=bias), normed), *self._activation()]
        for narrow, wide in itertools.pairwise(maps):
            norm = [nn.BatchNorm2d(wide)] if config.norm == "batch" else []
            layers += [spectral(Conv2d(narrow, wide, 4, 2, 1, bias=bias), normed), *norm, *self._activation()]
        if config.minibatch_std:
            layers.append(MinibatchStd())
        self.layers = nn.Sequential(*layers)
        self.head = spectral(ToLogit(maps[-1] + config.minibatch_std, 1, 4, 1, 0, bias=bias), normed)
        if config.labels == "projection":
            self.projection = spectral(ClassEmbedding(classes, maps[-1]), normed)
        dcgan_init(self)

    def _activation(self) -> list[nn.Module]:
        dropout = [nn.Dropout2d(self.config.dropout)] if self.config.dropout else []
        return [nn.LeakyReLU(self.config.slope, inplace=True), *dropout]

    def forward(self, images: Images, labels: Labels | None = None) -> PerImage:
        """Logits, higher for real; `labels` are needed exactly if the model is conditional."""
        if self.config.labels == "onehot":
            images = onehot_channels(images, _needed(labels), self.classes)
        features = self.layers(images)
        logits = self.head(features).float().flatten()
        if self.config.labels == "projection":
            # Miyato and Koyama 2018, eq. 4: the class's vector times the summed features, here their mean so
            # that its size does not depend on the last layer's.
            pooled = features[:, : self.projection.embedding_dim].float().mean((2, 3))
            logits = logits + (self.projection(_needed(labels)).float() * pooled).sum(1)
        return logits


def _needed(labels: Labels | ClassWeights | None) -> Tensor:
    if labels is None:
        raise UsageError("this model is conditional: it needs a class for each picture")
    return labels
