"""The fully connected GAN (Goodfellow et al. 2014, section 5), G beside D.

The paper: "the generator nets used a mixture of rectifier linear activations and sigmoid activations, while the
discriminator net used maxout activations. Dropout was applied in training the discriminator net", noise entering only
at the generator's bottom. It gives no sizes; ours are those of its published code for MNIST: rectified layers of 1200
units in G, maxout layers of 240 units with 5 pieces in D. Our reading has tanh at the end, for pixels in [-1, 1]; a
sigmoid, as in the paper, goes with `family.pixel_range: [0, 1]`. All pixels of a picture of 64x64 are 12,288 inputs, so
that plain gradient descent wants small rates, `norm: batch` (Ioffe and Szegedy 2015) or `init: equalized`.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from ganvas.config.model import MlpDiscriminator, MlpGenerator
from ganvas.models.common import CHANNELS, OUTPUTS, needed
from ganvas.nn.conv import dcgan_init
from ganvas.nn.embed import onehot
from ganvas.nn.linear import EqualizedLinear, Maxout
from ganvas.types import ClassWeights, Images, Labels, Latents, PerImage


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R): in [-1, 1] by tanh, in [0, 1] by a sigmoid."""

    def __init__(self, config: MlpGenerator, resolution: int, latent_size: int, classes: int):
        super().__init__()
        self.config, self.classes, self.latent_size, self.resolution = config, classes, latent_size, resolution
        units = [latent_size + (classes if config.labels else 0), *config.hidden]
        layers: list[nn.Module] = []
        for entering, leaving in itertools.pairwise(units):
            layers += [*hidden(config, entering, leaving), _leaky(config.slope)]
        layers += [linear(config, units[-1], CHANNELS * resolution**2), OUTPUTS[config.output]()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures in the network's range; `labels` are needed exactly if the model is conditional."""
        if self.config.labels:
            latents = torch.cat([latents, onehot(needed(labels), self.classes, latents.dtype)], 1)
        # Pixels in channels_last order, as all pictures are held: a view, no copy.
        rows = self.layers(latents).view(-1, self.resolution, self.resolution, CHANNELS)
        return rows.permute(0, 3, 1, 2)


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) and class indices (B,) to logits (B,)."""

    def __init__(self, config: MlpDiscriminator, resolution: int, classes: int):
        super().__init__()
        self.config, self.classes = config, classes
        units = [CHANNELS * resolution**2 + (classes if config.labels else 0), *config.hidden]
        layers: list[nn.Module] = []
        for entering, leaving in itertools.pairwise(units):
            each = hidden(config, entering, leaving * config.pieces)
            layers += [*each, Maxout(config.pieces) if config.pieces > 1 else _leaky(config.slope)]
            layers += [nn.Dropout(config.dropout)] if config.dropout else []
        self.layers = nn.Sequential(*layers, linear(config, units[-1], 1))

    def forward(self, images: Images, labels: Labels | None = None) -> PerImage:
        """Logits, higher for real; `labels` are needed exactly if the model is conditional."""
        rows = images.permute(0, 2, 3, 1).flatten(1)
        if self.config.labels:
            rows = torch.cat([rows, onehot(needed(labels), self.classes, rows.dtype)], 1)
        return self.layers(rows).float().flatten()


def hidden(config: MlpGenerator | MlpDiscriminator, entering: int, leaving: int) -> list[nn.Module]:
    """A layer up to its activation."""
    if config.norm is None:
        return [linear(config, entering, leaving)]
    # Batch norm takes any bias away with the mean, and has one of its own.
    return [linear(config, entering, leaving, bias=False), nn.BatchNorm1d(leaving)]


def linear(config: MlpGenerator | MlpDiscriminator, entering: int, leaving: int, bias: bool = True) -> nn.Linear:
    """A layer that begins as the config says."""
    if config.init == "equalized":
        return EqualizedLinear(entering, leaving, bias)
    layer = nn.Linear(entering, leaving, bias)
    if config.init == "normal":
        dcgan_init(layer)
    return layer


def _leaky(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope) if slope else nn.ReLU()
