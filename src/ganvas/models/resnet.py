"""SNGAN's residual networks (Miyato et al. 2018) and SAGAN's, which add self-attention (Zhang et al. 2019), G beside D."""

from __future__ import annotations

import math

import torch
from torch import nn

from ganvas.config.residual import ResnetDiscriminator, ResnetGenerator
from ganvas.models.common import needed
from ganvas.models.residual import (
    BASE,
    CHANNELS,
    GeneratorBlock,
    ResidualDiscriminator,
    attended,
    check_resolution,
    normalise_weights,
    weighted_layers,
    width_at,
)
from ganvas.nn.attention import SelfAttention
from ganvas.nn.norm import ConditionalBatchNorm2d, class_affine, normalise
from ganvas.nn.resample import Conv3x3
from ganvas.nn.spectral import raw_weight, warm_up
from ganvas.types import ClassWeights, Images, Labels, Latents


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R) in [-1, 1] (Miyato et al. 2018, tables 3 and 5)."""

    def __init__(self, config: ResnetGenerator, resolution: int, latent_size: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config, self.classes, self.latent_size = config, classes, latent_size
        side, maps = BASE, width_at(BASE, resolution, config.width, config.max_width)
        self.first = nn.Linear(latent_size, BASE * BASE * maps)
        self.layers = nn.ModuleList()
        while side < resolution:
            side *= 2
            leaving = width_at(side, resolution, config.width, config.max_width)
            self.layers.append(GeneratorBlock(maps, leaving, self._norm, config.slope))
            maps = leaving
            if side == attended(config.attention, resolution):
                self.layers.append(SelfAttention(maps))
        self.norm = nn.BatchNorm2d(maps)
        self.last = Conv3x3(maps, CHANNELS)
        if config.spectral_norm:
            # The classes' gains and offsets are no linear maps of anything.
            normalise_weights(self, but=(nn.Embedding,))
        glorot_init(self)

    def _norm(self, maps: int) -> nn.Module:
        return nn.BatchNorm2d(maps) if self.config.labels is None else ConditionalBatchNorm2d(maps, class_affine(self.classes, maps))

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures in [-1, 1]; `labels` are needed exactly if the model is conditional."""
        condition = None if self.config.labels is None else needed(labels)
        x = self.first(latents).view(len(latents), BASE, BASE, -1).permute(0, 3, 1, 2)
        for layer in self.layers:
            x = layer(x, condition) if isinstance(layer, GeneratorBlock) else layer(x)
        return torch.tanh(self.last(normalise(self.norm, x, slope=self.config.slope)))


class Discriminator(ResidualDiscriminator):
    """Pictures and class indices to logits: SNGAN's discriminator, or SAGAN's with self-attention."""

    def __init__(self, config: ResnetDiscriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__(config, resolution, classes)
        glorot_init(self)


def glorot_init(module: nn.Module) -> None:
    """Uniform weights of Glorot and Bengio 2010, sqrt(2) times as large in 3x3 convolutions, which activations follow.

    Biases are zero; batch norms' tables of classes are left as they are.
    """
    tables = {norm.to_affine for norm in module.modules() if isinstance(norm, ConditionalBatchNorm2d)}
    for layer in weighted_layers(module):
        if layer not in tables:
            gain = math.sqrt(2) if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) else 1.0
            nn.init.xavier_uniform_(raw_weight(layer), gain)
        if not isinstance(layer, nn.Embedding) and layer.bias is not None:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    warm_up(module)
